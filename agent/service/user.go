package service

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// groupUser is the user of a program that runs in a process group, by the name
// in hooks.user, and the environment that goes with it. A nil credential is our
// own user, who is root only where hooks.user names root.
func groupUser(name string) (env []string, as *syscall.Credential, err error) {
	switch {
	case name != "":
	case os.Geteuid() == 0:
		return nil, nil, ErrNoUser
	default:
		return systemEnv(), nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, nil, fmt.Errorf("hooks.user: %w", err)
	}
	env = append(inherited("PATH", "LANG", "TZ"), "HOME="+u.HomeDir, "USER="+name, "LOGNAME="+name)
	if u.Uid == strconv.Itoa(os.Geteuid()) {
		return env, nil, nil
	}
	as, err = credential(u)
	return env, as, err
}

// credential includes all of a user's groups.
func credential(u *user.User) (*syscall.Credential, error) {
	groups, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, text := range append([]string{u.Uid, u.Gid}, groups...) {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint32(id))
	}
	return &syscall.Credential{Uid: ids[0], Gid: ids[1], Groups: ids[2:]}, nil
}
