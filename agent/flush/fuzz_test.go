package flush

import "testing"

// What shippers write is untrusted: no parser panics, and none finds an offset or
// a number below 0.

func FuzzCloudWatch(f *testing.F) {
	f.Add([]byte("14\n/var/log/app.log\n0-4,8-14"))
	f.Add([]byte("14\n/var/log/app.log"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, accepted, err := parseCloudWatch(data); err == nil && accepted < 0 {
			t.Errorf("%q: %d", data, accepted)
		}
	})
}

func FuzzImfile(f *testing.F) {
	f.Add([]byte(`{ "filename": "/x", "prev_was_nl": 0, "curr_offs": 18, "strt_offs": 14, "prev_line_segment": "half" }`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if at, err := parseImfile(data); err == nil && at < 0 {
			t.Errorf("%q: %d", data, at)
		}
	})
}

func FuzzStats(f *testing.F) {
	f.Add([]byte(`Sat Nov 28 18:31:42 2026: { "name": "main Q", "origin": "core.queue", "size": 3, "enqueued": 9, "discarded.full": 0, "discarded.nf": 0 }`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, ok := parseStats(data); ok && s.Name == "" {
			t.Errorf("%q: no name", data)
		}
	})
}

func FuzzTailer(f *testing.F) {
	f.Add([]byte(progress(flowName, 9, 1, 8, 40)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if name, report, ok := parseTailer(data); ok && (name == "" || report.parsed < 0 || report.sent < 0 || report.skipped < 0) {
			t.Errorf("%q: %q %+v", data, name, report)
		}
	})
}

func FuzzFluentBit(f *testing.F) {
	b := &fluentBitServer{chunks: 1, records: 2, dropped: 3}
	b.make()
	f.Add([]byte(b.storage))
	f.Add([]byte(b.metrics))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := parseChunks(data); err == nil && n < 0 {
			t.Errorf("%q: %d", data, n)
		}
		if s, err := parseFluentBit(data); err == nil && len(s.inputs) == 0 {
			t.Errorf("%q: no inputs", data)
		}
	})
}

func FuzzValues(f *testing.F) {
	f.Add([]byte("a{b=\"c\"} 1\n"), `a{b="c"}`)
	f.Add([]byte(`{"a":{"b":[1,2]}}`), "a.*.0")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		value, err := valuesOf(data)
		if err != nil {
			return
		}
		if n, found := value(name); found && (n > maxNumber || n < -maxNumber) {
			t.Errorf("%q: %q: %d", data, name, n)
		}
		if all, err := parsePrometheus(data); err == nil {
			_, _ = judgeOTel(all)
		}
	})
}
