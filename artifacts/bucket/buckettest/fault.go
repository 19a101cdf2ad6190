package buckettest

// Op is one of a bucket's methods.
type Op string

// The operations there are.
const (
	Get    Op = "get"
	Put    Op = "put"
	List   Op = "list"
	Delete Op = "delete"
)

// Fault is one scripted misbehaviour of a [Memory].
type Fault struct {
	Op  Op     // "" = every operation
	Key string // "" = every key; of a List its prefix

	Skip  int // let this many matching calls through first
	Times int // then act this often; 0 = without end

	Before  func() // called first, without any lock: what happens meanwhile
	Err     error  // answered instead; nil = the call goes on
	Applied bool   // the call takes effect and only its answer is lost
}

func (f *Fault) matches(op Op, key string) bool {
	return (f.Op == "" || f.Op == op) && (f.Key == "" || f.Key == key)
}

// due counts the call and reports whether the fault acts on it.
func (f *Fault) due() bool { return Due(&f.Skip, &f.Times) }

// Due counts a matching call of a scripted fault, which lets skip of them through and
// then acts times: 0 = without end. It reports whether the fault acts on this one.
func Due(skip, times *int) bool {
	if *skip > 0 {
		*skip--
		return false
	}
	switch {
	case *times == 0:
		return true
	case *times < 0:
		return false
	}
	if *times--; *times == 0 {
		*times = -1 // used up
	}
	return true
}

// Fail adds a fault. Where several match a call, the first that is due acts.
func (m *Memory) Fail(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, &f)
}

// Heal removes all faults and all damage to objects.
func (m *Memory) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults, m.damages = nil, map[string]*damage{}
}

// Calls is how often an operation was asked for; key "" counts every key.
func (m *Memory) Calls(op Op, key string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[call{op, key}]
}

type call struct {
	op  Op
	key string
}

// begin counts a call and finds out what is to go wrong with it.
func (m *Memory) begin(op Op, key string) Fault {
	fault := m.fault(op, key)
	if fault.Before != nil {
		fault.Before()
	}
	return fault
}

func (m *Memory) fault(op Op, key string) Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[call{op, ""}]++
	if key != "" {
		m.calls[call{op, key}]++
	}
	for _, f := range m.faults {
		if f.matches(op, key) && f.due() {
			return *f
		}
	}
	return Fault{}
}
