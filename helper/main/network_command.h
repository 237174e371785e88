/* berth network. berth(8). */
#ifndef BERTH_MAIN_NETWORK_COMMAND_H
#define BERTH_MAIN_NETWORK_COMMAND_H

int network_command(int argc, char **argv);

#endif
