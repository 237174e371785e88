"""What the tests share: an sshd of their own, users, images, clients, checks."""
