"""The programs that do a fault's harm from outside: standard library only, each ends on SIGTERM and after a while."""
