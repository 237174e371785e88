# BERTH_CHECK_FLAG(VARIABLE, FLAG)
# Appends FLAG to VARIABLE when a program compiles AND links with it under
# -O2 -Werror: a compiler may take a flag that the linker then lacks a part for.
AC_DEFUN([BERTH_CHECK_FLAG], [
AS_VAR_PUSHDEF([cached], [berth_cv_flag_$2])dnl
AC_CACHE_CHECK([whether $2 works], [cached], [
  berth_save_CFLAGS=$CFLAGS
  CFLAGS="-O2 -Werror $$1 $2"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdio.h>
#include <string.h>]], [[char b[64]; strcpy(b, "berth"); puts(b);]])],
    [AS_VAR_SET([cached], [yes])], [AS_VAR_SET([cached], [no])])
  CFLAGS=$berth_save_CFLAGS
])
AS_VAR_IF([cached], [yes], [$1="$$1 $2"; berth_flag_ok=yes], [berth_flag_ok=no])
AS_VAR_POPDEF([cached])dnl
])

# BERTH_HARDENING
# Sets HARDENING_CFLAGS (compile and link) and HARDENING_LDFLAGS. One call a
# flag: the commas of -Wl,... would break a loop.
AC_DEFUN([BERTH_HARDENING], [
HARDENING_CFLAGS=
HARDENING_LDFLAGS=
BERTH_CHECK_FLAG([HARDENING_CFLAGS], [-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3])
AS_IF([test "$berth_flag_ok" = no],
  [BERTH_CHECK_FLAG([HARDENING_CFLAGS], [-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2])])
BERTH_CHECK_FLAG([HARDENING_CFLAGS], [-fstack-protector-strong])
BERTH_CHECK_FLAG([HARDENING_CFLAGS], [-fstack-clash-protection])
BERTH_CHECK_FLAG([HARDENING_CFLAGS], [-fcf-protection])
AS_IF([test "$berth_flag_ok" = no],
  [BERTH_CHECK_FLAG([HARDENING_CFLAGS], [-mbranch-protection=standard])])
BERTH_CHECK_FLAG([HARDENING_CFLAGS], [-fno-strict-overflow])
BERTH_CHECK_FLAG([HARDENING_CFLAGS], [-ftrivial-auto-var-init=zero])
BERTH_CHECK_FLAG([HARDENING_CFLAGS], [-fzero-call-used-regs=used])
BERTH_CHECK_FLAG([HARDENING_CFLAGS], [-fPIE])
BERTH_CHECK_FLAG([HARDENING_LDFLAGS], [-pie])
BERTH_CHECK_FLAG([HARDENING_LDFLAGS], [[-Wl,-z,relro]])
BERTH_CHECK_FLAG([HARDENING_LDFLAGS], [[-Wl,-z,now]])
BERTH_CHECK_FLAG([HARDENING_LDFLAGS], [[-Wl,-z,noexecstack]])
BERTH_CHECK_FLAG([HARDENING_LDFLAGS], [[-Wl,--as-needed]])
])

# BERTH_STATIC
# Sets STATIC_CFLAGS and STATIC_LDFLAGS for a program that needs no library and no
# loader where it runs: at a random address where the C library has what that takes.
AC_DEFUN([BERTH_STATIC], [
STATIC_CFLAGS=
STATIC_LDFLAGS=
BERTH_CHECK_FLAG([STATIC_LDFLAGS], [-fPIE -static-pie])
AS_IF([test "$berth_flag_ok" = yes], [STATIC_CFLAGS=-fPIE],
  [BERTH_CHECK_FLAG([STATIC_LDFLAGS], [-static])
   AS_IF([test "$berth_flag_ok" = no],
     [AC_MSG_ERROR([no static program links: berth-guest needs the C library's static part])])])
])

# BERTH_WARNINGS
# Sets WARNING_CFLAGS.
AC_DEFUN([BERTH_WARNINGS], [
WARNING_CFLAGS=
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wall])
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wextra])
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wshadow])
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wstrict-prototypes])
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wmissing-prototypes])
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wpointer-arith])
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wwrite-strings])
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wformat=2])
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wvla])
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wundef])
BERTH_CHECK_FLAG([WARNING_CFLAGS], [-Wimplicit-fallthrough])
])
