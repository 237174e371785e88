/* berth ps: berth(8). */
#ifndef BERTH_MAIN_PS_COMMAND_H
#define BERTH_MAIN_PS_COMMAND_H

/* A subcommand's main: argv[0] is its name; the exit status. */
int ps_command(int argc, char **argv);

#endif
