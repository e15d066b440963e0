//go:build !linux

package sqlite

import "errors"

// opened cannot tell on this system.
func opened(string) (database, locks int, err error) { return 0, 0, errors.ErrUnsupported }

func lockedByOthers(int) bool { return true }
