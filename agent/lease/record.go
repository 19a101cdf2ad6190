package lease

// Phase is how far a tenure is on this machine.
type Phase string

// The phases of a tenure. Each is durable before what it announces.
const (
	Holding   Phase = "held"      // the app may run
	Stopped   Phase = "stopped"   // it has ended, having used nothing above Mark
	Releasing Phase = "releasing" // the tenure is over, whatever the table answers
)

// Record is <state>/node-id.json: what this machine knows of its tenure. It counts only
// on the instance that it names.
type Record struct {
	Instance string
	Boot     string // the kernel's boot id
	Scope    string
	Tenure   Tenure
	Phase    Phase
	Mark     Millis // of Stopped and Releasing
}

// Next is what a process does with the record that it finds.
type Next int

// What to do with a record.
const (
	ClaimAnew Next = iota // as a stranger; the old tenure, if any, frees itself when its mark passes
	Ask                   // the table: if the item is the tenure's, it goes on
	GoOn                  // from the disk, without a call: the floor is the mark
)

// Resume is how a tenure goes on after its process has ended, and the tenure that goes
// on. In the same boot the app may be running still. After a clean stop the app has
// ended, and the mark says what it used. Anything else, such as a power cut, leaves open
// what the app used.
func (r Record) Resume(instance, boot, scope string) (Tenure, Next) {
	switch {
	case instance == "" || r.Instance != instance || r.Scope != scope || r.Phase == Releasing:
		return Tenure{}, ClaimAnew
	case r.Phase == Stopped:
		t := r.Tenure
		t.Floor = max(t.Floor, r.Mark)
		return t, GoOn
	case r.Phase == Holding && boot != "" && r.Boot == boot:
		return r.Tenure, Ask
	}
	return Tenure{}, ClaimAnew
}
