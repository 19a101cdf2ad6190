package health

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestParseSocket(t *testing.T) {
	const rest = " 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0"
	tests := []struct{ local, want string }{
		{"0100007F:1F90", "127.0.0.1:8080"},
		{"0B01A8C0:0016", "192.168.1.11:22"},
		{loop6 + ":01BB", "[::1]:443"},
		{"B80D0120000000000000000001000000:FFFF", "[2001:db8::1]:65535"},
	}
	for _, test := range tests {
		got, ok := parseSocket("   3: " + test.local + rest)
		want := socket{netip.MustParseAddrPort(test.want), "4711", true}
		if !ok || got != want {
			t.Errorf("%s = %v, %v; want %v", test.local, got, ok, want)
		}
	}
	established := strings.Replace("0: 0100007F:1F90"+rest, " 0A ", " 01 ", 1)
	if got, ok := parseSocket(established); !ok || got.listen {
		t.Errorf("an established connection: %v, %v", got, ok)
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode")
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12 1 0 100")
	f.Add("   0: " + maps4 + ":1F90 " + any6 + ":0000 0A 00000000:00000000 00:00000000 00000000 0 0 12 1 0 100")
	f.Add("0: 01:1F90 0 0A 0 0 0 0 0 12")
	f.Add("0: 0100007F 0 0A 0 0 0 0 0 12")
	f.Add("0: 0100007F:1F90 0 0A 0")
	f.Add("0: 0100007F:1F90 0 0A 0 0 0 0 0 none")
	f.Fuzz(func(t *testing.T, line string) {
		s, ok := parseSocket(line)
		if !ok {
			return
		}
		if !s.addr.IsValid() || strings.Trim(s.inode, "0123456789") != "" || s.inode == "" {
			t.Errorf("%q became %+v", line, s)
		}
		local := strings.Fields(line)[1]
		if !strings.HasSuffix(strings.ToUpper(local), strings.ToUpper(fmt.Sprintf("%X", s.addr.Port()))) {
			t.Errorf("%q became port %d", local, s.addr.Port())
		}
	})
}

func FuzzParseStart(f *testing.F) {
	f.Add("7 (sh) S 1 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0")
	f.Add("7 (a) S 9) (b) S 1 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0")
	f.Add("7 (sh) S 1 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 18446744073709551615")
	f.Add("")
	f.Fuzz(func(t *testing.T, stat string) {
		start, err := parseStart(stat)
		if start < 0 || err != nil && start != 0 {
			t.Errorf("%q became %v, %v", stat, start, err)
		}
	})
}
