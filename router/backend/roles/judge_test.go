package roles

import (
	"strings"
	"testing"
	"time"

	"shardway/router/backend/health"
	"shardway/shardmap/gtid"
)

// as is a server as it was seen, written as "addr free|ro|replica-of-ADDR|down gtids".
func as(t *testing.T, text string) Sight {
	t.Helper()
	f := strings.Fields(text)
	set, err := gtid.Parse(f[2])
	if err != nil {
		t.Fatal(err)
	}
	s := Sight{Shard: "s0", Addr: f[0], State: health.Up, Seen: time.Unix(1, 0), SourceKnown: true, GTID: set, ServerID: "id-" + f[0]}
	for word := range strings.SplitSeq(f[1], ",") {
		switch source, follows := strings.CutPrefix(word, "of-"); {
		case follows:
			s.ReplicaOf = source
		case word == "ro":
			s.ReadOnly = true
		case word == "down":
			s.State = health.Down
		case word == "new":
			s.State, s.Seen = health.Connecting, time.Time{}
		case word == "mute":
			s.SourceKnown = false
		case word != "rw":
			t.Fatalf("what is %q?", word)
		}
	}
	return s
}

func TestJudgeRoles(t *testing.T) {
	for _, tc := range []struct {
		name        string
		sights      string // the first is the primary in use
		established bool
		known       string
		banned      string
		want        Kind
		primary     string // p unless another one was promoted
		strays      string
		why         string
	}{
		{name: "as the map says", sights: "p rw 1-1-9; a ro,of-p 1-1-9; b ro,of-p 1-1-8"},
		{name: "a replica that may be written to is common", sights: "p rw 1-1-9; a rw,of-p 1-1-9"},
		{name: "a primary of another place's primary", sights: "p rw,of-x 1-1-9; a ro,of-p 1-1-9"},
		{name: "nobody knows the sources", sights: "p rw 1-1-9; a rw,mute 1-1-9"},
		{name: "no GTIDs, nothing to judge by", sights: "p down ,; a rw ,"},
		{name: "a stray replica doesn't shake an established primary", sights: "p rw 1-1-9; a rw 1-1-7,1-2-12", established: true, strays: "a"},
		{name: "not even with everything", sights: "p rw 1-1-9; a rw 1-1-9,1-2-12", established: true, strays: "a"},
		{name: "promoted, the old one is down", sights: "p down ,; a rw 1-1-9,1-2-10; b ro,of-a 1-1-9", known: "1-1-9", want: Promoted, primary: "a"},
		{name: "promoted, the old one was never seen", sights: "p down ,; a rw 1-1-9", want: Promoted, primary: "a"},
		{name: "promoted, the old one is read-only", sights: "p ro 1-1-9; a rw 1-1-9", established: true, want: Promoted, primary: "a"},
		{name: "promoted, the old one follows", sights: "p rw,of-a 1-1-9; a rw 1-1-9", established: true, want: Promoted, primary: "a"},
		{name: "the old one isn't known yet", sights: "p new ,; a rw 1-1-9", strays: "a"},
		{name: "lost transactions aren't followed", sights: "p down ,; a rw 1-1-8", known: "1-1-9", strays: "a", why: "lacks transactions that p had (1-1-9)"},
		{name: "nobody took over", sights: "p down ,; a ro,of-p 1-1-9", known: "1-1-9"},
		{name: "read-only without a successor", sights: "p ro 1-1-9; a ro,of-p 1-1-9"},
		{name: "a server with a history of its own", sights: "p rw 1-1-9; a rw 1-7-9"},
		{name: "it is no successor", sights: "p down ,; a rw 1-7-9; b ro,of-p 1-1-9"},
		{name: "two successors", sights: "p down ,; a rw 1-1-9; b rw 1-1-9", known: "1-1-9", want: Split, strays: "a b", why: "a and b take writes"},
		{name: "the former primary is back", sights: "p rw 1-1-9,1-2-10; q rw 1-1-11", established: true, banned: "q", strays: "q", why: ""},
		{name: "the former primary is back, its heir is down", sights: "p down ,; q rw 1-1-9,1-2-10", known: "1-1-9,1-2-10", banned: "q", strays: "q"},
		{name: "the promotion is taken back", sights: "p ro 1-1-9; q rw 1-1-9", known: "1-1-9", banned: "q", want: Promoted, primary: "q"},
		{name: "the promotion is taken back, and the heir follows", sights: "p rw,of-q 1-1-9; q rw 1-1-9", known: "1-1-9", banned: "q", want: Promoted, primary: "q"},
		{name: "both write at the start, the other has more", sights: "p rw 1-1-9; a rw 1-1-9,1-2-12", want: Promoted, primary: "a"},
		{name: "both write at the start, the map's has more", sights: "p rw 1-1-12; a rw 1-1-9", strays: "a"},
		{name: "both write at the start, alike", sights: "p rw 1-1-9; a rw 1-1-9", strays: "a"},
		{name: "both write at the start, apart", sights: "p rw 1-1-10; a rw 1-1-9,1-2-10", want: Split, strays: "p a", why: "p and a take writes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := Standing{Established: tc.established, Banned: tc.banned}
			for text := range strings.SplitSeq(tc.sights, ";") {
				st.Sights = append(st.Sights, as(t, text))
			}
			st.Primary = st.Sights[0].Addr
			var err error
			if st.Known, err = gtid.Parse(tc.known); err != nil {
				t.Fatal(err)
			}
			v := Judge(&st)
			if tc.primary == "" {
				tc.primary = "p"
			}
			if v.Kind != tc.want || v.Primary != tc.primary {
				t.Errorf("kind %d, primary %s: %s", v.Kind, v.Primary, v.Why)
			}
			if tc.why != "" && !strings.Contains(v.Why, tc.why) {
				t.Errorf("%q doesn't say %q", v.Why, tc.why)
			}
			if len(v.Strays) != len(strings.Fields(tc.strays)) {
				t.Errorf("strays are %v, want %s", v.Strays, tc.strays)
			}
			for addr := range strings.FieldsSeq(tc.strays) {
				if v.Strays[addr] == "" {
					t.Errorf("%s is no stray", addr)
				}
			}
		})
	}
}

func TestFollowsByIdentity(t *testing.T) {
	p, a := as(t, "p rw 1-1-9"), as(t, "a ro,of-db1.example:3306 1-1-9")
	if a.Follows(&p) {
		t.Error("follows a stranger")
	}
	if a.SourceID = p.ServerID; !a.Follows(&p) {
		t.Error("the source's identity isn't looked at")
	}
}
