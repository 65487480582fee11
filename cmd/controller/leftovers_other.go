//go:build !linux

package main

// dropBinaryPages is for Linux.
func dropBinaryPages() {}
