package flush

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"koboshi/agent/config"
)

// Deps is what a flush needs of the world.
type Deps struct {
	// Command runs the command of a flush to its end and returns its exit status
	// and the last line of its output; an error means that it did not get so far.
	// Only kind "command" needs it: service.Service.AskShipper.
	Command Runner
	// Transport carries what is asked over HTTP; nil: without a proxy.
	Transport http.RoundTripper
}

// Runner runs a command of the operator's.
type Runner func(ctx context.Context, name string, f config.Flush) (status int, last string, err error)

// Flusher is one log shipper. Its methods are called one after the other:
// Before while the app still runs, Await once it has stopped. Look is for a
// Flusher of its own.
type Flusher struct {
	name     string
	settings config.Flush
	files    *fileSet
	kind     kind
	baseline *sight  // of the error counters
	growing  []int64 // as last seen
	restart  bool    // they have become smaller
}

// kind is one kind of shipper.
type kind interface {
	// look reads how far the shipper is with the files, which have been measured
	// before. An error means that this could not be found out now.
	look(ctx context.Context, files []*file) (sight, error)
}

// sight is what one look has shown.
type sight struct {
	// left is what is known to be undelivered, in unit.
	left int64
	unit string // Bytes or Records
	// pending is what else is missing: why this look does not show everything
	// delivered although left is 0. more: something is left, but not how much.
	pending string
	more    bool
	// unconfirmed is why nothing can be concluded yet from numbers that may be
	// older than the stop.
	unconfirmed string
	// settled is a proof by itself: no second look is needed.
	settled bool
	// inputs are counters that must not change between two looks.
	inputs []int64
	// made tells one making of the numbers from another; 0: they are made anew
	// for each look.
	made int64
	// growing are counters that only a restart of the shipper makes smaller.
	growing []int64
	// failed are counters of what is gone, in records, and of errors.
	failed [2]int64
	// counted reports that failed was read, whatever else is in doubt.
	counted bool
	// doubt is why it cannot be found out.
	doubt string
	// note is worth reporting in any case, and slow is advice on a setting.
	note, slow string
}

// pacing is how a kind is looked at.
type pacing struct {
	every time.Duration // between two looks
	stale time.Duration // how old the numbers of a look may be
	still time.Duration // how long they must not change
}

// New returns the flusher of the shipper with that name. It does not look at it
// yet. The only error is a kind that is unknown or needs what deps does not have.
func New(name string, f config.Flush, deps Deps) (*Flusher, error) {
	k, err := newKind(name, f, deps)
	if err != nil {
		return nil, err
	}
	return &Flusher{name: name, settings: f, files: newFileSet(f.Files), kind: k}, nil
}

func newKind(name string, f config.Flush, deps Deps) (kind, error) {
	get := newClient(deps.Transport)
	switch f.Kind {
	case config.CloudWatchAgent:
		return &cloudWatch{state: f.State}, nil
	case config.KinesisAgent:
		return &kinesis{log: newTail(f.Log)}, nil
	case config.FluentBit:
		return &fluentBit{url: f.URL, get: get}, nil
	case config.Rsyslog:
		return newRsyslog(f), nil
	case config.OTelCollector:
		return &otel{url: f.URL, get: get}, nil
	case config.FlushMetrics:
		return &metrics{url: f.URL, zero: f.Zero, equal: f.Equal, get: get}, nil
	case config.FlushCommand:
		if deps.Command == nil {
			return nil, fmt.Errorf("flush %s: no way to run a command", name)
		}
		return &command{name: name, settings: f, run: deps.Command}, nil
	case config.FlushWait:
		return &wait{}, nil
	}
	return nil, fmt.Errorf("flush %s: unknown kind %q", name, f.Kind)
}

func pacingOf(f config.Flush) pacing {
	const poll, scrape = 200 * time.Millisecond, 500 * time.Millisecond
	switch f.Kind {
	case config.FluentBit:
		return pacing{every: time.Second, stale: fluentBitMakes, still: fluentBitMakes}
	case config.OTelCollector:
		return pacing{every: scrape, still: otelStill}
	case config.FlushMetrics:
		anew := time.Duration(f.For) + scrape // and not just as long: the next ones may be a moment late
		return pacing{every: scrape, stale: anew, still: anew}
	case config.FlushCommand:
		return pacing{every: commandEvery}
	case config.FlushWait:
		return pacing{every: time.Duration(f.For)}
	}
	return pacing{every: poll}
}

// Name is the free name of the shipper.
func (f *Flusher) Name() string { return f.name }

// Kind is what it is.
func (f *Flusher) Kind() string { return f.settings.Kind }

// Close lets the files go. The Flusher is not used any more.
func (f *Flusher) Close() { f.files.close() }
