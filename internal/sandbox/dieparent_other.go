//go:build !linux

package sandbox

import "syscall"

// dieWithParent cannot be asked of this system: a killed sandbox leaves its haproxy behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
