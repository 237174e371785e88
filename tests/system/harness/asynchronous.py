"""asyncssh: sessions with what neither the ssh command nor paramiko can send or tell."""
import asyncio

import asyncssh


def connected(world, work, user="bt-bash", port=None):
    """Runs work(connection); its value."""
    async def main():
        async with asyncssh.connect("127.0.0.1", port or world.sshd.port, username=user,
                                    client_keys=[world.sshd.key], config=None,
                                    known_hosts=world.sshd.known_hosts) as conn:
            return await asyncio.wait_for(work(conn), 40)
    return asyncio.run(main())
