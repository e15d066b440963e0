//go:build !unix

package dbtest

import (
	"errors"
	"os/exec"
)

// asOther refuses: a throwaway server is only started on Unix.
func asOther(*exec.Cmd, string) error {
	return errors.New("set MORANGO_TEST_POSTGRES to the URL of a server on which databases may be created")
}
