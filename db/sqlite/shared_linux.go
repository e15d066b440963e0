package sqlite

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// As long as a connection is open SQLite holds a shared lock on this byte of the file
// beside the database that ends in "-shm" (UNIX_SHM_DMS in its os_unix.c; "DMS" in the description of
// the WAL's format). Locks are those of a process: its own do not stand in its way.
const openLock = 128

// opened finds among the files that this process has open those of a database: how often
// itself, and the descriptor of the one in which SQLite locks. That one is only ever asked
// about. To open it here would be wrong: closing it again would take all of SQLite's locks away.
func opened(path string) (database, locks int, err error) {
	var want, with syscall.Stat_t
	if err := syscall.Stat(path, &want); err != nil {
		return 0, 0, fmt.Errorf("look at %s: %w", path, err)
	}
	if err := syscall.Stat(path+"-shm", &with); err != nil {
		return 0, 0, fmt.Errorf("look at %s-shm: %w", path, err)
	}
	folder, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, 0, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range names {
		var is syscall.Stat_t
		number, err := strconv.Atoi(name)
		if err != nil || syscall.Fstat(number, &is) != nil {
			continue
		}
		switch {
		case is.Dev == want.Dev && is.Ino == want.Ino:
			database++
		case is.Dev == with.Dev && is.Ino == with.Ino:
			locks = number
		}
	}
	return database, locks, nil
}

// lockedByOthers reports whether another process has the database open.
func lockedByOthers(descriptor int) bool {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: openLock, Len: 1}
	err := syscall.FcntlFlock(uintptr(descriptor), syscall.F_GETLK, &lock)
	return err != nil || lock.Type != syscall.F_UNLCK
}
