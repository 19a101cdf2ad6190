package census

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/durable"
)

// Entry is the newest record of an instance with its content: nil where that cannot be
// used, and Bad is why.
type Entry struct {
	Found
	Record *Record
	Bad    error
}

// atATime is how many records are fetched side by side.
const atATime = 32

// Read fetches the content of records, where the cache does not have it. Only what the
// bucket answers ends it: a record that is damaged, or was expired meanwhile, is an entry
// that says so. progress may be nil.
func Read(ctx context.Context, b bucket.Reader, app string, found []Found, cache *Cache, progress func(done, total int)) ([]Entry, error) {
	entries := make([]Entry, len(found))
	var missing []int
	for i, f := range found {
		entries[i].Found = f
		text, ok := cache.get(f)
		if !ok {
			missing = append(missing, i)
			continue
		}
		entries[i].parse(text, app)
	}
	var mu sync.Mutex
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atATime)
	for _, i := range missing {
		group.Go(func() error {
			err := entries[i].fetch(ctx, b, app)
			if progress != nil {
				mu.Lock()
				defer mu.Unlock()
				done++
				progress(done, len(missing))
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	cache.keep(entries)
	return entries, nil
}

// fetch reads a record from the bucket.
func (e *Entry) fetch(ctx context.Context, b bucket.Reader, app string) error {
	text, object, err := bucket.Read(ctx, b, e.Key(), MaxRecord)
	switch {
	case errors.Is(err, bucket.ErrTooLarge):
		e.Bad = fmt.Errorf("%w: it has more than %d bytes", ErrRecord, MaxRecord)
		return nil
	case errors.Is(err, bucket.ErrNotFound):
		e.Bad = fmt.Errorf("%w: it was there a moment ago", ErrRecord)
		return nil
	case err != nil:
		return err
	}
	e.ETag = object.ETag // it may have been written again since it was listed
	if !object.Modified.IsZero() {
		e.Modified = object.Modified.UTC()
	}
	e.parse(text, app)
	return nil
}

func (e *Entry) parse(text []byte, app string) {
	rec, err := Parse(text, app, e.Subject)
	if err != nil {
		e.Bad = err
		return
	}
	e.Record = &rec
}

// Cache is what was read before, by its ETag, in a file of the reader's. A nil Cache has
// nothing. What is in it is parsed as what the bucket answers.
type Cache struct {
	dir  *os.Root
	name string
	have map[string]cached // by key
}

type cached struct {
	ETag   string  `json:"etag"`
	Record *Record `json:"record"`
}

// maxCache bounds the file, in bytes: 100,000 records of 1 kB.
const maxCache = 128 << 20

// OpenCache reads a cache. One that is not there, or is damaged, is empty.
func OpenCache(dir *os.Root, name string) *Cache {
	c := &Cache{dir: dir, name: name}
	data, err := durable.ReadFile(dir, name, maxCache)
	if err != nil || json.Unmarshal(data, &c.have) != nil {
		c.have = nil
	}
	return c
}

func (c *Cache) get(f Found) ([]byte, bool) {
	if c == nil || f.ETag == "" {
		return nil, false
	}
	was, ok := c.have[f.Key()]
	if !ok || was.ETag != f.ETag || was.Record == nil {
		return nil, false
	}
	text, err := was.Record.Encode()
	return text, err == nil
}

// keep remembers these entries, and no others.
func (c *Cache) keep(entries []Entry) {
	if c == nil {
		return
	}
	c.have = make(map[string]cached, len(entries))
	for _, e := range entries {
		if e.Record != nil && e.ETag != "" {
			c.have[e.Key()] = cached{e.ETag, e.Record}
		}
	}
}

// Save writes the cache, readable by its owner alone.
func (c *Cache) Save() error {
	data, err := json.Marshal(c.have, json.Deterministic(true))
	if err != nil {
		return err
	}
	if before, err := durable.ReadFile(c.dir, c.name, maxCache); err == nil && string(before) == string(data) {
		return nil
	}
	return durable.WriteFile(c.dir, c.name, data, 0o600)
}
