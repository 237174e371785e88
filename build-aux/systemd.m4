# BERTH_SYSTEMD_DIR(VARIABLE, WHAT, DEFAULT)
# ------------------------------------------
# Sets VARIABLE to where systemd looks for WHAT: as systemd.pc has it, but below
# our own prefix, so that an install to a prefix writes nowhere else. DEFAULT, below
# the prefix too, where there is no systemd.pc or it names a place of its own.
AC_DEFUN([BERTH_SYSTEMD_DIR], [
  AC_ARG_WITH([$1],
    [AS_HELP_STRING([--with-$1=DIR],
      [where $2 go @<:@as systemd.pc says, or PREFIX/$3@:>@])],
    [],
    [with_$1=$(${PKG_CONFIG:-false} --define-variable=prefix=/PREFIX \
       --define-variable=root_prefix=/PREFIX --define-variable=rootprefix=/PREFIX \
       --variable=$1 systemd 2>/dev/null | $SED -n 's|^/PREFIX/|${prefix}/|p')
     AS_IF([test -z "$with_$1"], [with_$1='${prefix}/$3'])])
  AC_SUBST([$1], [$with_$1])
])
