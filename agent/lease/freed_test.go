package lease

import (
	"errors"
	"testing"
)

// An operator's word frees an id and changes nothing else: the next holder stays above
// the mark, and the old one finds its lease lost.
func TestFreed(t *testing.T) {
	owner := Claimant{Owner: "i-1", Nonce: Nonce{1}}
	terms := Terms{Lease: 1000, Slack: 100}
	held, tenure, err := owner.Claim("web", 7, nil, terms, 5000)
	if err != nil {
		t.Fatal(err)
	}
	freed, err := held.Freed("i-1")
	if err != nil {
		t.Fatal(err)
	}
	want := held
	if want.State = Free; freed != want {
		t.Errorf("freed as %+v, want %+v", freed, want)
	}
	if _, err := tenure.Renew(freed, terms, 5001); !errors.Is(err, ErrLost) {
		t.Errorf("the old holder renews: %v", err)
	}
	if _, err := tenure.Release(freed, 5001); !errors.Is(err, ErrLost) {
		t.Errorf("the old holder releases: %v", err)
	}
	_, next, err := Claimant{Owner: "i-2", Nonce: Nonce{2}}.Claim("web", 7, &freed, terms, 5001)
	if err != nil || next.Floor != 6100 || next.Gen != 2 {
		t.Errorf("the next tenure is %+v (%v), want its floor at 6100", next, err)
	}
}

func TestNotFreed(t *testing.T) {
	held := Item{State: Held, Owner: "i-1", Gen: 1, HW: 1}
	if _, err := held.Freed("i-2"); !errors.Is(err, ErrOwner) || err.Error() != "the id is held by another instance, i-1" {
		t.Errorf("another's: %v", err)
	}
	if _, err := held.Freed(""); !errors.Is(err, ErrOwner) {
		t.Errorf("no owner: %v", err)
	}
	held.State = Free
	if _, err := held.Freed("i-1"); !errors.Is(err, ErrFree) {
		t.Errorf("free: %v", err)
	}
}
