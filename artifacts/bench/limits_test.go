//go:build bench

package bench

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"koboshi/artifacts/unpack"
)

const (
	block       = 4 << 20
	connections = 24
)

// The steps that no program can avoid, each measured alone.
const (
	limitHash    = "limit: SHA-256"
	limitDisk    = "limit: write"
	limitNet     = "limit: transfer"
	limitInflate = "limit: inflate"
)

// limits are measured as contenders are, but in this process.
func (l *lab) limits(w *workload) []contender {
	all := []contender{
		timed(limitHash, true, func(string) error { return hash(w.data) }),
		timed(limitDisk, false, func(disk string) error { return write(filepath.Join(disk, "probe"), w) }),
		timed(limitNet, true, func(string) error { return l.transfer(w) }),
	}
	if w.format == "tar.gz" {
		all = append(all, timed(limitInflate, true, func(string) error { return inflate(w.data) }))
	}
	return all
}

func timed(name string, idle bool, do func(disk string) error) contender {
	return contender{name: name, idle: idle, run: func(disk string) sample {
		began := time.Now()
		err := do(disk)
		return sample{wall: time.Since(began), err: err}
	}}
}

// hash hashes blocks on every core.
func hash(data []byte) error {
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for at := 0; at < len(data); at += block {
		group.Go(func() error {
			sha256.Sum256(data[at:min(at+block, len(data))])
			return nil
		})
	}
	return group.Wait()
}

// write brings the unpacked bytes to the disk as one file, past the cache.
func write(name string, w *workload) error {
	buf, err := unix.Mmap(-1, 0, block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(buf) }()
	copy(buf, w.data)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|unix.O_DIRECT, 0o600)
	if err != nil {
		return err
	}
	blocks := (w.plain + block - 1) / block
	err = unix.Fallocate(int(f.Fd()), 0, 0, blocks*block)
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for i := range blocks {
		group.Go(func() error {
			_, err := f.WriteAt(buf, i*block)
			return err
		})
	}
	return errors.Join(err, group.Wait(), f.Sync(), f.Close())
}

// transfer reads the artifact from the origin over many connections, and
// throws it away.
func (l *lab) transfer(w *workload) error {
	transport := &http.Transport{
		MaxIdleConnsPerHost: connections,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the bytes are thrown away
	}
	defer transport.CloseIdleConnections()
	var group errgroup.Group
	group.SetLimit(connections)
	for at := 0; at < len(w.data); at += block {
		group.Go(func() error { return l.get(transport, w, at) })
	}
	return group.Wait()
}

// get asks until it is answered in full: faults slow it down, too.
func (l *lab) get(transport *http.Transport, w *workload, at int) error {
	request, err := http.NewRequest(http.MethodGet, l.url+"/bench/"+w.key+"?X-Amz-Signature=x", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", at, at+block-1))
	for {
		answer, err := transport.RoundTrip(request)
		if err != nil {
			continue
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err == nil && answer.StatusCode == http.StatusPartialContent {
			return nil
		}
	}
}

func inflate(data []byte) error {
	plain, err := unpack.Gzip(bytes.NewReader(data))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, plain)
	return errors.Join(err, plain.Close())
}
