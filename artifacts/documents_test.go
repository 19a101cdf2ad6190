package artifacts_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts"
)

var issued = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func newKey(t testing.TB) artifacts.PrivateKey {
	t.Helper()
	key, err := artifacts.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func trusting(t testing.TB, threshold int, keys ...artifacts.PrivateKey) artifacts.Trust {
	t.Helper()
	var public []artifacts.PublicKey
	for _, k := range keys {
		public = append(public, k.Public())
	}
	trust, err := artifacts.NewTrust("0.2.0", threshold, public...)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func pointer() artifacts.Pointer {
	return artifacts.Pointer{
		Schema: 1, App: "web", Channel: "stable", Sequence: 7, Version: "1.4.2",
		ManifestSHA256: artifacts.Sum([]byte("manifest")), Issued: issued, Expires: issued.Add(time.Hour),
	}
}

func manifest() artifacts.Manifest {
	sum := artifacts.Sum([]byte("artifact"))
	return artifacts.Manifest{Schema: 1, App: "web", Version: "1.4.2", Created: issued, Artifacts: []artifacts.Artifact{{
		OS: "linux", Arch: "amd64", Format: artifacts.TarZst, Size: 30, SHA256: sum, UnpackedBytes: 100, Entries: 3,
		Key: artifacts.ArtifactKey("web", "1.4.2", "linux", "amd64", sum, artifacts.TarZst),
		Chunks: []artifacts.Chunk{
			{Size: 10, SHA256: sum, Plain: 4096}, {Size: 20, SHA256: sum, Plain: 100},
		},
		Index: &artifacts.Blob{Key: "releases/1.4.2/index.zst", Size: 5, SHA256: sum},
	}}}
}

func TestPointerRoundTrip(t *testing.T) {
	key := newKey(t)
	envelope, err := pointer().Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := trusting(t, 1, key).Pointer(envelope, "web", "stable")
	if err != nil {
		t.Fatal(err)
	}
	if v.Pointer() != pointer() {
		t.Errorf("got %+v, want %+v", v.Pointer(), pointer())
	}
	if ref := v.Choose(""); ref.Version != "1.4.2" || ref.ManifestSHA256 != pointer().ManifestSHA256 {
		t.Errorf("reference %+v", ref)
	}
	if err := v.CheckExpiry(issued.Add(59 * time.Minute)); err != nil {
		t.Errorf("before its end: %v", err)
	}
	if err := v.CheckExpiry(issued.Add(time.Hour)); !errors.Is(err, artifacts.ErrExpired) {
		t.Errorf("at its end: %v, want ErrExpired", err)
	}
}

func TestManifestRoundTrip(t *testing.T) {
	key := newKey(t)
	envelope, err := manifest().Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	ref := artifacts.Reference{App: "web", Version: "1.4.2", ManifestSHA256: artifacts.Sum(envelope)}
	v, err := trusting(t, 1, key).Manifest(envelope, ref)
	if err != nil {
		t.Fatal(err)
	}
	a, err := v.Manifest().Artifact("linux", "amd64")
	if err != nil || !a.Framed() || v.SHA256() != ref.ManifestSHA256 {
		t.Errorf("artifact %+v, error %v, sum %s", a, err, v.SHA256())
	}
	if _, err := v.Manifest().Artifact("linux", "arm64"); !errors.Is(err, artifacts.ErrNoPlatform) {
		t.Errorf("error %v, want ErrNoPlatform", err)
	}
}

// TestBinding refuses documents that are signed, but not for what was asked.
func TestBinding(t *testing.T) {
	key := newKey(t)
	trust := trusting(t, 1, key)
	p, _ := pointer().Sign(key)
	m, _ := manifest().Sign(key)
	for _, tt := range []struct {
		name string
		read func() error
	}{
		{"a pointer of another app", func() error { _, err := trust.Pointer(p, "api", "stable"); return err }},
		{"a pointer of another channel", func() error { _, err := trust.Pointer(p, "web", "canary"); return err }},
		{"a manifest in place of a pointer", func() error { _, err := trust.Pointer(m, "web", "stable"); return err }},
		{"a pointer in place of a manifest", func() error {
			_, err := trust.Manifest(p, artifacts.Reference{App: "web", Version: "1.4.2"})
			return err
		}},
		{"a manifest of another app", func() error {
			_, err := trust.Manifest(m, artifacts.Reference{App: "api", Version: "1.4.2"})
			return err
		}},
		{"a manifest of another version", func() error {
			_, err := trust.Manifest(m, artifacts.Reference{App: "web", Version: "1.4.3"})
			return err
		}},
		{"a manifest that the pointer does not name", func() error {
			_, err := trust.Manifest(m, artifacts.Reference{App: "web", Version: "1.4.2", ManifestSHA256: artifacts.Sum([]byte("other"))})
			return err
		}},
		{"a zero Trust", func() error { _, err := artifacts.Trust{}.Pointer(p, "web", "stable"); return err }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.read(); !errors.Is(err, artifacts.ErrUntrusted) {
				t.Errorf("error %v, want ErrUntrusted", err)
			}
		})
	}
}

func TestSignatures(t *testing.T) {
	a, b, c := newKey(t), newKey(t), newKey(t)
	one, _ := pointer().Sign(a)
	both, _ := pointer().Sign(a, b)
	twice, err := artifacts.AddSignature(one, a)
	if err != nil {
		t.Fatal(err)
	}
	added, err := artifacts.AddSignature(one, b)
	if err != nil {
		t.Fatal(err)
	}
	falsified := strings.Replace(string(one), `"sig":"`, `"sig":"AAAA`, 1)
	healed, err := artifacts.AddSignature([]byte(falsified), a)
	if err != nil {
		t.Fatal(err)
	}
	anonymous := strings.ReplaceAll(string(one), `"keyid":"`+a.Public().ID()+`",`, "")
	if anonymous == string(one) {
		t.Fatal("no keyid to take away")
	}
	repeated := strings.Replace(string(one), `"signatures":[`, `"signatures":[`+signatureOf(t, string(one))+",", 1)
	for _, tt := range []struct {
		name     string
		trust    artifacts.Trust
		envelope string
		verified bool
	}{
		{"one of one", trusting(t, 1, a), string(one), true},
		{"one of two", trusting(t, 1, a, b), string(one), true},
		{"two of two", trusting(t, 2, a, b), string(both), true},
		{"two of two, added later", trusting(t, 2, a, b), string(added), true},
		{"one signature, two wanted", trusting(t, 2, a, b), string(one), false},
		{"one key signed twice", trusting(t, 2, a, b), string(twice), false},
		{"a false signature that was made good", trusting(t, 1, a), string(healed), true},
		{"one signature repeated", trusting(t, 2, a, b), repeated, false},
		{"a stranger's", trusting(t, 1, c), string(one), false},
		{"without a keyid", trusting(t, 1, b, a), anonymous, true},
		{"no signature", trusting(t, 1, a), strings.Replace(string(one), signatureOf(t, string(one)), "", 1), false},
		{"a changed signature", trusting(t, 1, a), strings.Replace(string(one), `"sig":"`, `"sig":"A`, 1), false},
		{"another payload", trusting(t, 1, a), withPayload(t, string(one), `"sequence":7`, `"sequence":8`), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.trust.Pointer([]byte(tt.envelope), "web", "stable")
			if tt.verified && err != nil || !tt.verified && !errors.Is(err, artifacts.ErrUntrusted) {
				t.Errorf("verified %v, want %v (%v)", err == nil, tt.verified, err)
			}
		})
	}
}

// TestSignaturesAreCounted checks that documents with more than MaxSignatures are
// refused, read or written, before any signature is tried: the first one is good.
func TestSignaturesAreCounted(t *testing.T) {
	key := newKey(t)
	one := string(must(pointer().Sign(key)))
	good := signatureOf(t, one)
	with := func(n int) []byte {
		junk := strings.Repeat(`,{"sig":"AQEB"}`, n-1)
		return []byte(strings.Replace(one, good, good+junk, 1))
	}
	trust := trusting(t, 1, key)
	if _, err := trust.Pointer(with(artifacts.MaxSignatures), "web", "stable"); err != nil {
		t.Errorf("%d signatures: %v", artifacts.MaxSignatures, err)
	}
	_, err := trust.Pointer(with(artifacts.MaxSignatures+1), "web", "stable")
	if !errors.Is(err, artifacts.ErrUntrusted) || !strings.Contains(err.Error(), "17 signatures") {
		t.Errorf("%d signatures: %v, want ErrUntrusted", artifacts.MaxSignatures+1, err)
	}
	if _, err := artifacts.AddSignature(with(artifacts.MaxSignatures), newKey(t)); err == nil {
		t.Error("a signature was added that no agent would read")
	}
}

func TestTrustFailsClosed(t *testing.T) {
	a := newKey(t).Public()
	for name, make := range map[string]func() (artifacts.Trust, error){
		"no key":               func() (artifacts.Trust, error) { return artifacts.NewTrust("1.0.0", 1) },
		"threshold 0":          func() (artifacts.Trust, error) { return artifacts.NewTrust("1.0.0", 0, a) },
		"negative threshold":   func() (artifacts.Trust, error) { return artifacts.NewTrust("1.0.0", -1, a) },
		"more than there are":  func() (artifacts.Trust, error) { return artifacts.NewTrust("1.0.0", 2, a) },
		"one key counted more": func() (artifacts.Trust, error) { return artifacts.NewTrust("1.0.0", 2, a, a) },
	} {
		if _, err := make(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestStrictPayload signs payloads that are refused for their form alone.
func TestStrictPayload(t *testing.T) {
	key := newKey(t)
	good := payloadOf(t, must(pointer().Sign(key)))
	for _, tt := range []struct {
		name, payload string
		want          error
	}{
		{"as it is", good, nil},
		{"an unknown key", strings.Replace(good, `{`, `{"evil":1,`, 1), artifacts.ErrUntrusted},
		{"a key twice", strings.Replace(good, `{`, `{"app":"web",`, 1), artifacts.ErrUntrusted},
		{"a key in other case", strings.Replace(good, `"app"`, `"App"`, 1), artifacts.ErrUntrusted},
		{"both cases", strings.Replace(good, `{`, `{"APP":"web",`, 1), artifacts.ErrUntrusted},
		{"data after it", good + `{}`, artifacts.ErrUntrusted},
		{"not UTF-8", strings.Replace(good, `web`, "w\xffb", 1), artifacts.ErrUntrusted},
		{"an array", `[` + good + `]`, artifacts.ErrUntrusted},
		{"null", `null`, artifacts.ErrUntrusted},
		{"nothing", ``, artifacts.ErrUntrusted},
		{"schema 2", strings.Replace(good, `"schema":1`, `"schema":2,"new":true`, 1), artifacts.ErrTooOld},
		{"schema 0", strings.Replace(good, `"schema":1`, `"schema":0`, 1), artifacts.ErrUntrusted},
		{"no schema", strings.Replace(good, `"schema":1,`, ``, 1), artifacts.ErrUntrusted},
		{"sequence 0", strings.Replace(good, `"sequence":7`, `"sequence":0`, 1), artifacts.ErrUntrusted},
		{"a sequence of half", strings.Replace(good, `"sequence":7`, `"sequence":7.5`, 1), artifacts.ErrUntrusted},
		{"a sequence past 64 bits", strings.Replace(good, `"sequence":7`, `"sequence":9223372036854775808`, 1), artifacts.ErrUntrusted},
		{"a version with a path", strings.Replace(good, `"1.4.2"`, `"../1.4.2"`, 1), artifacts.ErrUntrusted},
		{"an upper-case hash", strings.Replace(good, pointer().ManifestSHA256.String(), strings.ToUpper(pointer().ManifestSHA256.String()), 1), artifacts.ErrUntrusted},
		{"a time that is not UTC", strings.Replace(good, `2026-11-21T10:00:00Z`, `2026-11-21T10:00:00+00:30`, 1), artifacts.ErrUntrusted},
		{"an end before the beginning", strings.Replace(good, `2026-11-21T11`, `2026-11-21T09`, 1), artifacts.ErrUntrusted},
		{"a spread of a year", strings.Replace(good, `{`, `{"spread_seconds":31536000,`, 1), artifacts.ErrUntrusted},
		{"a next that is whole", strings.Replace(good, `{`, `{"next":{"version":"2","manifest_sha256":"`+pointer().ManifestSHA256.String()+`","percent":10},`, 1), nil},
		{"a next of 101 percent", strings.Replace(good, `{`, `{"next":{"version":"2","manifest_sha256":"`+pointer().ManifestSHA256.String()+`","percent":101},`, 1), artifacts.ErrUntrusted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			envelope := resign(t, key, "application/vnd.koboshi.pointer.v1+json", tt.payload)
			_, err := trusting(t, 1, key).Pointer(envelope, "web", "stable")
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestPayloadTypes(t *testing.T) {
	key := newKey(t)
	good := payloadOf(t, must(pointer().Sign(key)))
	for payloadType, want := range map[string]error{
		"application/vnd.koboshi.pointer.v2+json":  artifacts.ErrTooOld,
		"application/vnd.koboshi.pointer.v0+json":  artifacts.ErrUntrusted,
		"application/vnd.koboshi.manifest.v2+json": artifacts.ErrUntrusted,
		"application/json":                         artifacts.ErrUntrusted,
		"":                                         artifacts.ErrUntrusted,
	} {
		_, err := trusting(t, 1, key).Pointer(resign(t, key, payloadType, good), "web", "stable")
		if !errors.Is(err, want) {
			t.Errorf("%q: error %v, want %v", payloadType, err, want)
		}
	}
}

func TestStrictEnvelope(t *testing.T) {
	key := newKey(t)
	good := string(must(pointer().Sign(key)))
	for name, envelope := range map[string]string{
		"an unknown key":      strings.Replace(good, `{`, `{"x":1,`, 1),
		"a key twice":         strings.Replace(good, `{`, `{"payload":"",`, 1),
		"a key in other case": strings.Replace(good, `"payloadType"`, `"payloadtype"`, 1),
		"data after it":       good + "x",
		"no payload":          `{"payloadType":"application/vnd.koboshi.pointer.v1+json","payload":"","signatures":[]}`,
		"too large":           good + strings.Repeat(" ", artifacts.MaxPointerBytes),
	} {
		if _, err := trusting(t, 1, key).Pointer([]byte(envelope), "web", "stable"); !errors.Is(err, artifacts.ErrUntrusted) {
			t.Errorf("%s: error %v, want ErrUntrusted", name, err)
		}
	}
	if _, err := trusting(t, 1, key).Pointer([]byte(good+strings.Repeat("\n", 100)), "web", "stable"); err != nil {
		t.Errorf("white space at the end: %v", err)
	}
}

func TestManifestValidation(t *testing.T) {
	long := make([]artifacts.Chunk, 3)
	for i := range long {
		long[i] = artifacts.Chunk{Size: 1 << 62, SHA256: artifacts.Sum(nil)}
	}
	for _, tt := range []struct {
		name   string
		change func(*artifacts.Manifest, *artifacts.Artifact)
		valid  bool
	}{
		{"as it is", func(*artifacts.Manifest, *artifacts.Artifact) {}, true},
		{"no artifact", func(m *artifacts.Manifest, _ *artifacts.Artifact) { m.Artifacts = nil }, false},
		{"a platform twice", func(m *artifacts.Manifest, a *artifacts.Artifact) { m.Artifacts = append(m.Artifacts, *a) }, false},
		{"a format of a later agent", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Format = "erofs" }, true},
		{"a format that is no name", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Format = "../zip" }, false},
		{"no format", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Format = "" }, false},
		{"size 0", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Size, a.Chunks = 0, nil }, false},
		{"negative limits", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Entries = -1 }, false},
		{"a key in another release", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Key = "releases/1.4.1/x" }, false},
		{"a key that climbs", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Key = "releases/1.4.2/../../x" }, false},
		{"a key that is absolute", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Key = "/etc/shadow" }, false},
		{"no hash", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.SHA256 = artifacts.Digest{} }, false},
		{"chunks that do not cover it", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Size = 31 }, false},
		{"chunks that overflow", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Chunks = long }, false},
		{"a chunk that is too large", func(_ *artifacts.Manifest, a *artifacts.Artifact) {
			a.Size, a.Chunks = artifacts.MaxChunkBytes+1, []artifacts.Chunk{{Size: artifacts.MaxChunkBytes + 1, SHA256: a.SHA256}}
		}, false},
		{"a frame that is too large", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Chunks[0].Plain = artifacts.MaxChunkPlain + 1 }, false},
		{"plain on some chunks", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Chunks[1].Plain = 0 }, false},
		{"an index elsewhere", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Index.Key = "channels/stable.json" }, false},
		{"an index too large", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Index.Size = artifacts.MaxIndexBytes + 1 }, false},
		{"a delta", func(_ *artifacts.Manifest, a *artifacts.Artifact) {
			a.Deltas = []artifacts.Delta{deltaFrom("1.4.1", a)}
		}, true},
		{"two deltas from one base", func(_ *artifacts.Manifest, a *artifacts.Artifact) {
			a.Deltas = []artifacts.Delta{deltaFrom("1.4.1", a), deltaFrom("1.4.1", a)}
		}, false},
		{"a delta of nothing", func(_ *artifacts.Manifest, a *artifacts.Artifact) { a.Deltas = []artifacts.Delta{{}} }, false},
		{"a hook that climbs", func(m *artifacts.Manifest, _ *artifacts.Artifact) { m.Hooks.PreStart = []string{"../x"} }, false},
		{"a hook that is absolute", func(m *artifacts.Manifest, _ *artifacts.Artifact) { m.Hooks.PreStop = []string{"/bin/sh"} }, false},
		{"a hook inside", func(m *artifacts.Manifest, _ *artifacts.Artifact) {
			m.Hooks.PreStart = []string{"bin/migrate", "--now"}
		}, true},
		{"two probes", func(m *artifacts.Manifest, _ *artifacts.Artifact) {
			m.Health = artifacts.Health{TCP: "x:1", URL: "http://x"}
		}, false},
		{"a probe of no url", func(m *artifacts.Manifest, _ *artifacts.Artifact) { m.Health.URL = "127.0.0.1:8080/healthz" }, false},
		{"a probe of no port", func(m *artifacts.Manifest, _ *artifacts.Artifact) { m.Health.TCP = "127.0.0.1" }, false},
		{"statuses of a connection", func(m *artifacts.Manifest, _ *artifacts.Artifact) {
			m.Health = artifacts.Health{TCP: "x:1", Status: "204"}
		}, false},
		{"statuses", func(m *artifacts.Manifest, _ *artifacts.Artifact) { m.Health.Status = "200-299,404" }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := manifest()
			tt.change(&m, &m.Artifacts[0])
			if err := m.Validate(); (err == nil) != tt.valid {
				t.Errorf("error %v, want valid %v", err, tt.valid)
			}
		})
	}
}

func TestMinAgent(t *testing.T) {
	key := newKey(t)
	for minimum, want := range map[string]error{
		"": nil, "0.1.9": nil, "0.2.0": nil, "0.2.1": artifacts.ErrTooOld, "0.10.0": artifacts.ErrTooOld, "1.0.0": artifacts.ErrTooOld, "soon": artifacts.ErrUntrusted,
	} {
		m := manifest()
		m.MinAgent = minimum
		_, err := trusting(t, 1, key).Manifest(must(m.Sign(key)), artifacts.Reference{App: "web", Version: "1.4.2"})
		if !errors.Is(err, want) {
			t.Errorf("min_agent %q on 0.2.0: error %v, want %v", minimum, err, want)
		}
	}
}

func TestSequenceAdmit(t *testing.T) {
	one, two := artifacts.Sum([]byte("1")), artifacts.Sum([]byte("2"))
	last := artifacts.Sequence{Number: 5, Payload: one}
	for _, tt := range []struct {
		next     artifacts.Sequence
		floor    int64
		admitted bool
	}{
		{artifacts.Sequence{Number: 6, Payload: two}, 0, true},
		{artifacts.Sequence{Number: 5, Payload: one}, 0, true},
		{artifacts.Sequence{Number: 5, Payload: two}, 0, false},
		{artifacts.Sequence{Number: 4, Payload: one}, 0, false},
		{artifacts.Sequence{Number: 6, Payload: two}, 6, true},
		{artifacts.Sequence{Number: 6, Payload: two}, 7, false},
	} {
		if err := last.Admit(tt.next, tt.floor); (err == nil) != tt.admitted || err != nil && !errors.Is(err, artifacts.ErrUntrusted) {
			t.Errorf("%+v with floor %d: error %v, want admitted %v", tt.next, tt.floor, err, tt.admitted)
		}
	}
}

func FuzzPointer(f *testing.F) {
	key := newKey(f)
	trust := trusting(f, 1, key)
	good := must(pointer().Sign(key))
	f.Add(good)
	f.Add([]byte(`{"payloadType":"","payload":"","signatures":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := trust.Pointer(data, "web", "stable")
		if err == nil && v.Pointer() != pointer() {
			t.Errorf("%q was verified as %+v", data, v.Pointer())
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add(artifacts.Sum(nil).String())
	f.Fuzz(func(t *testing.T, text string) {
		var d artifacts.Digest
		if err := d.UnmarshalText([]byte(text)); err == nil && d.String() != text {
			t.Errorf("%q reads as %s", text, d)
		}
	})
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// payloadOf is what an envelope wraps.
func payloadOf(t testing.TB, envelope []byte) string {
	t.Helper()
	_, rest, _ := strings.Cut(string(envelope), `"payload":"`)
	encoded, _, _ := strings.Cut(rest, `"`)
	payload, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(payload) == 0 {
		t.Fatalf("no payload in %s: %v", envelope, err)
	}
	return string(payload)
}

func signatureOf(t testing.TB, envelope string) string {
	t.Helper()
	_, rest, _ := strings.Cut(envelope, `"signatures":[`)
	signature, _, ok := strings.Cut(rest, `]`)
	if !ok {
		t.Fatalf("no signature in %s", envelope)
	}
	return signature
}

// withPayload changes the payload and keeps the signature.
func withPayload(t testing.TB, envelope, old, changed string) string {
	t.Helper()
	payload := payloadOf(t, []byte(envelope))
	encode := base64.StdEncoding.EncodeToString
	return strings.Replace(envelope, encode([]byte(payload)), encode([]byte(strings.Replace(payload, old, changed, 1))), 1)
}

// resign wraps any payload of any type in an envelope that key really signed.
func resign(t testing.TB, key artifacts.PrivateKey, payloadType, payload string) []byte {
	t.Helper()
	bare := fmt.Sprintf(`{"payloadType":%q,"payload":%q,"signatures":[]}`, payloadType, base64.StdEncoding.EncodeToString([]byte(payload)))
	envelope, err := artifacts.AddSignature([]byte(bare), key)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

func deltaFrom(base string, a *artifacts.Artifact) artifacts.Delta {
	return artifacts.Delta{Base: base, Key: a.Key, Size: 1, SHA256: a.SHA256}
}
