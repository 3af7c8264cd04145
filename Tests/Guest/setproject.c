// setproject DIRECTORY NUMBER LIMIT_KIB: makes a directory a quota project of its own, with a limit on its
// bytes; 0 for none. ext4 or xfs, mounted with prjquota.
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int fd = open(argv[1], O_RDONLY | O_DIRECTORY);
    struct fsxattr attributes;
    if (fd < 0 || ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0) return perror(argv[1]), 1;
    attributes.fsx_projid = (uint32_t)atoi(argv[2]);
    attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (ioctl(fd, FS_IOC_FSSETXATTR, &attributes) < 0) return perror("FS_IOC_FSSETXATTR"), 1;
    struct if_dqblk quota = {.dqb_bhardlimit = strtoull(argv[3], NULL, 10), .dqb_valid = QIF_BLIMITS};
    if (syscall(SYS_quotactl_fd, fd, QCMD(Q_SETQUOTA, PRJQUOTA), attributes.fsx_projid, &quota) < 0)
        return perror("Q_SETQUOTA"), 1;
    return 0;
}
