package service

import "errors"

var (
	// ErrActivate is a release that could not be made current or started.
	ErrActivate = errors.New("the release could not be started")
	// ErrHook is a hook of a release that failed.
	ErrHook = errors.New("failed hook")
)
