package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// shelf is a table of items that are only read, in shards of 4. Lists have the ids alone.
type shelf struct {
	Table
	mu      sync.Mutex
	items   map[int]Item
	bad     map[int]error
	gone    map[int]bool  // listed, but deleted before it is read
	fails   map[int]error // an id that cannot be read
	noList  error
	listed  []int // shards
	reading int
	most    int // reads at once
}

var modified = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func (s *shelf) ShardSize() int { return 4 }

func (s *shelf) List(_ context.Context, shard int) (all []Stored, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = append(s.listed, shard)
	for id := range s.ids() {
		if id/4 == shard {
			all = append(all, Stored{ID: id, Exists: true, Modified: modified, Bad: s.bad[id]})
		}
	}
	return all, s.noList
}

func (s *shelf) ids() map[int]bool {
	ids := map[int]bool{}
	for id := range s.items {
		ids[id] = true
	}
	for id := range s.bad {
		ids[id] = true
	}
	maps.Copy(ids, s.gone)
	return ids
}

func (s *shelf) Get(ctx context.Context, id int) (Stored, error) {
	s.begin(1)
	defer s.begin(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.fails[id], ctx.Err()); err != nil {
		return Stored{}, err
	}
	if s.gone[id] {
		return Stored{ID: id}, nil
	}
	item := s.items[id]
	return Stored{ID: id, Exists: true, Item: &item}, nil
}

func (s *shelf) begin(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading += n
	s.most = max(s.most, s.reading)
}

// whole is a shelf that lists all of its ids at once.
type whole struct {
	*shelf
	calls int
}

func (w *whole) ListAll(ctx context.Context) (all []Stored, err error) {
	w.calls++
	for shard := range 100 {
		listed, err := w.List(ctx, shard)
		if err != nil {
			return nil, err
		}
		all = append(all, listed...)
	}
	w.listed = nil
	return all, nil
}

func shelfOf(ids ...int) *shelf {
	s := &shelf{items: map[int]Item{}}
	for _, id := range ids {
		s.items[id] = Item{ID: id, Gen: int64(id) + 1}
	}
	return s
}

func idsOf(found []Stored) (ids []int) {
	for _, s := range found {
		ids = append(ids, s.ID)
	}
	return ids
}

// A survey reads what is in its range, and only the shards of that.
func TestSurvey(t *testing.T) {
	s := shelfOf(0, 3, 5, 9, 17, 21)
	s.bad, s.gone = map[int]error{6: ErrItem}, map[int]bool{7: true}
	var seen []string
	found, err := Survey(t.Context(), s, 3, 17, func(read, all int) { seen = append(seen, fmt.Sprintf("%d/%d", read, all)) })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := idsOf(found), []int{3, 5, 6, 9, 17}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	for _, f := range found {
		if bad := f.ID == 6; bad != (f.Bad != nil) || bad != (f.Item == nil) || !f.Modified.Equal(modified) || !bad && f.Item.Gen != int64(f.ID)+1 {
			t.Errorf("id %d: %+v", f.ID, f)
		}
	}
	if slices.Sort(s.listed); !slices.Equal(s.listed, []int{0, 1, 2, 3, 4}) {
		t.Errorf("listed the shards %v", s.listed)
	}
	if want := []string{"1/5", "2/5", "3/5", "4/5", "5/5", "1/6", "2/6", "3/6", "4/6", "5/6", "6/6"}; !slices.Equal(seen, want) {
		t.Errorf("progress %v, want %v", seen, want)
	}
}

// A table that lists everything at once is asked for that, except where one shard has the
// whole range.
func TestSurveyOfWholeTable(t *testing.T) {
	w := &whole{shelf: shelfOf(0, 3, 5, 399)}
	found, err := Survey(t.Context(), w, 1, MaxID, nil)
	if got, want := idsOf(found), []int{3, 5, 399}; err != nil || !slices.Equal(got, want) || w.calls != 1 || len(w.listed) != 0 {
		t.Errorf("found %v (%v) in %d lists of all and of the shards %v, want %v", got, err, w.calls, w.listed, want)
	}
	found, err = Survey(t.Context(), w, 4, 7, nil)
	if got := idsOf(found); err != nil || !slices.Equal(got, []int{5}) || w.calls != 1 || !slices.Equal(w.listed, []int{1}) {
		t.Errorf("found %v (%v) in %d lists of all and of the shards %v", got, err, w.calls, w.listed)
	}
}

// Half a survey is none.
func TestSurveyFails(t *testing.T) {
	broken := errors.New("broken")
	many := make([]int, 200)
	for i := range many {
		many[i] = i
	}
	s := shelfOf(many...)
	s.fails = map[int]error{70: broken}
	if found, err := Survey(t.Context(), s, 0, 199, nil); !errors.Is(err, broken) || err.Error() != "id 70: broken" || found != nil {
		t.Errorf("one id cannot be read: %d found, %v", len(found), err)
	}
	s.fails = nil
	if found, err := Survey(t.Context(), s, 0, 199, nil); err != nil || len(found) != 200 || s.most > surveyors {
		t.Errorf("%d found, %v, %d reads at once", len(found), err, s.most)
	}
	s.noList = broken
	if found, err := Survey(t.Context(), s, 0, 199, nil); !errors.Is(err, broken) || found != nil {
		t.Errorf("the list fails: %d found, %v", len(found), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.noList = nil
	if found, err := Survey(ctx, s, 0, 199, nil); !errors.Is(err, context.Canceled) || found != nil {
		t.Errorf("interrupted: %d found, %v", len(found), err)
	}
}
