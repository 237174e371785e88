"""A real slapd in a fresh root, with the nslcd, NSS and PAM that make its entries accounts."""
from .wait import wait_for

PACKAGES = ("slapd", "ldap-utils", "nslcd", "libnss-ldapd", "libpam-ldapd")
BASE = "dc=example,dc=net"
ADMIN = "cn=admin," + BASE
SECRET = "geheim"
PIDFILE = "/run/slapd/slapd.pid"

SLAPD = f"""\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
pidfile {PIDFILE}
loglevel none
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix "{BASE}"
rootdn "{ADMIN}"
rootpw {SECRET}
directory /var/lib/directory
index objectClass,uid,uidNumber,gidNumber,memberUid eq
access to attrs=userPassword by * auth
access to * by * read
moduleload retcode
overlay retcode
retcode-parent "ou=codes,{BASE}"
retcode-item "cn=unavailable" 0x34
"""
# For nslcd: whoever asks for a group is told that the directory is unavailable.
NO_GROUPS = f"base group cn=unavailable,ou=codes,{BASE}"

TREE = f"""\
dn: {BASE}
objectClass: organization
objectClass: dcObject
o: example
dc: example

dn: ou=people,{BASE}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{BASE}
objectClass: organizationalUnit
ou: groups
"""


class Directory:
    def __init__(self, root, nslcd):
        """`nslcd` are lines for nslcd.conf, beside those that say where the directory is."""
        self.root = root
        root.write("/etc/ldap/directory.conf", SLAPD)
        root.run("mkdir -p /var/lib/directory /run/slapd /run/nslcd && chown nslcd: /run/nslcd")
        root.run(["slapadd", "-f", "/etc/ldap/directory.conf"], input=TREE.encode())
        self.nslcd = f"uid nslcd\ngid nslcd\nuri ldap://127.0.0.1/\nbase {BASE}\n{nslcd}\n"
        root.run(r"sed -i -E 's/^(passwd|group|shadow):.*/\1: files ldap/' /etc/nsswitch.conf")
        self.start()
        self.start_nslcd()

    def start_nslcd(self, *more):
        """Anew, where it runs, with these lines more in its file."""
        self.root.run("if [ -e /run/nslcd/nslcd.pid ]; then kill $(cat /run/nslcd/nslcd.pid); fi")
        wait_for(lambda: not self.root.exists("/run/nslcd/nslcd.pid"), 10, "nslcd's end")
        self.root.write("/etc/nslcd.conf", self.nslcd + "".join(m + "\n" for m in more), 0o600)
        self.root.run(["nslcd"])

    # --- slapd -----------------------------------------------------------

    def _answers(self):
        return self.root.run(["ldapwhoami", "-x", "-H", "ldap://127.0.0.1/"],
                             check=False).returncode == 0

    def start(self):
        # As a daemon: an nsenter that waited for it would stop along with it.
        self.root.run(["slapd", "-f", "/etc/ldap/directory.conf", "-h", "ldap://127.0.0.1/"])
        wait_for(self._answers, 20, lambda: "slapd; it says: " + self.root.said())

    def start_again(self):
        """Unless it runs."""
        if not self.root.exists(PIDFILE):
            self.start()

    def _signal(self, name):
        self.root.run(f"kill -{name} $(cat {PIDFILE})")

    def stop(self):
        self._signal("TERM")
        wait_for(lambda: not self.root.exists(PIDFILE), 10, "slapd's end")

    def hang(self):
        self._signal("STOP")

    def go_on(self):
        if self.root.exists(PIDFILE):
            self._signal("CONT")

    # --- its entries -----------------------------------------------------

    def _change(self, program, text):
        self.root.run([program, "-x", "-H", "ldap://127.0.0.1/", "-D", ADMIN, "-w", SECRET],
                      input=text.encode())

    def add_user(self, name, uid, gid, password, shell):
        home = f"/home/{name}"
        self._change("ldapadd", f"""\
dn: uid={name},ou=people,{BASE}
objectClass: account
objectClass: posixAccount
uid: {name}
cn: {name}
uidNumber: {uid}
gidNumber: {gid}
homeDirectory: {home}
loginShell: {shell}
userPassword: {password}
""")
        self.root.add_key(home)

    def remove_user(self, name):
        self._change("ldapdelete", f"uid={name},ou=people,{BASE}\n")

    def add_group(self, name, gid, *members):
        self._change("ldapadd", f"dn: cn={name},ou=groups,{BASE}\nobjectClass: posixGroup\n"
                     f"cn: {name}\ngidNumber: {gid}\n" +
                     "".join(f"memberUid: {m}\n" for m in members))

    def change_member(self, group, action, user):
        """`action` is add or delete."""
        self._change("ldapmodify", f"dn: cn={group},ou=groups,{BASE}\nchangetype: modify\n"
                     f"{action}: memberUid\nmemberUid: {user}\n")
