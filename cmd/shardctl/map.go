package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"shardway/shardmap"
	"shardway/shardmap/stores"
)

func mapCommands() []command {
	moved := func(f *pflag.FlagSet) {
		f.Bool("rows-already-moved", false, "the rows are where the new map says; nothing checks that")
	}
	return []command{
		{
			name: "map show", brief: "prints the map",
			details: "As YAML, ready to edit and to apply; as JSON with --output json.",
			example: "shardctl --map ./shards.yaml map show > next.yaml", run: mapShow,
		},
		{
			name: "map check", args: "[FILE]", max: 1, brief: "checks a map and warns of what is odd",
			details: "Without FILE the stored map is checked. Errors are exit status 1, warnings are not.",
			example: "shardctl map check next.yaml", run: mapCheck,
		},
		{
			name: "map diff", args: "FILE", min: 1, max: 1, brief: "shows what applying FILE would change",
			example: "shardctl --map ./shards.yaml map diff next.yaml", run: mapDiff,
		},
		{
			name: "map apply", args: "FILE", min: 1, max: 1, brief: "stores FILE as the next version",
			details: "FILE must come from the stored version: its version is that one, or the next.\nA change after which rows would be looked for where they are not is refused (exit\nstatus 3): a map moves no rows, rebalance does.",
			example: "shardctl --map ./shards.yaml map apply next.yaml", flags: moved, run: mapApply,
		},
		{
			name: "map expand", args: "FACTOR", min: 1, max: 1, brief: "multiplies the slots and moves no row",
			details: "Slot s of the new map belongs to the owner of slot s mod the old number, where its\nrows are. Afterwards a rebalance has smaller pieces to move.",
			example: "shardctl --map ./shards.yaml map expand 512", run: mapExpand,
		},
		{
			name: "map history", brief: "lists the versions, their time and author",
			example: "shardctl --map ./shards.yaml map history", run: mapHistory,
		},
		{
			name: "map rollback", args: "VERSION", min: 1, max: 1, brief: "stores an earlier version again, as the next",
			details: "It is refused (exit status 3) where rows were moved or would be lost from sight; see map apply.",
			example: "shardctl --map ./shards.yaml map rollback 3", flags: moved, run: mapRollback,
		},
	}
}

// load opens the store and reads its map.
func (t *tool) load(ctx context.Context) (stores.Store, *shardmap.Map, error) {
	store, err := t.open()
	if err != nil {
		return nil, nil, err
	}
	m, err := store.Load(ctx)
	return store, m, err
}

func mapShow(ctx context.Context, t *tool, _ *pflag.FlagSet, _ []string) error {
	_, m, err := t.load(ctx)
	if err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(describe(m))
	}
	text, err := m.Marshal()
	if err != nil {
		return err
	}
	_, err = t.stdout.Write(text)
	return err
}

func mapCheck(ctx context.Context, t *tool, _ *pflag.FlagSet, args []string) error {
	var m *shardmap.Map
	var problems []shardmap.Problem
	if len(args) == 0 {
		_, stored, err := t.load(ctx)
		var invalid *shardmap.Invalid
		switch {
		case errors.As(err, &invalid):
			problems = invalid.Problems
		case err != nil:
			return err
		default:
			m, problems = stored, stored.Warnings()
		}
	} else {
		text, err := t.read(args[0])
		if err != nil {
			return err
		}
		m, problems = shardmap.Check(text)
	}
	if t.output == "json" {
		if problems == nil {
			problems = []shardmap.Problem{}
		}
		if err := t.json(map[string]any{"ok": m != nil, "problems": problems}); err != nil {
			return err
		}
	} else {
		for _, p := range problems {
			kind := "error"
			if p.Warning {
				kind = "warning"
			}
			fmt.Fprintf(t.stdout, "%s: %s\n", kind, p)
		}
	}
	if m == nil {
		return errors.New("the map has errors")
	}
	if t.output != "json" {
		fmt.Fprintf(t.stdout, "version %d is right: %d shards, %d databases\n", m.Version(), len(m.Shards()), len(m.Databases()))
	}
	return nil
}

// read reads a file, or standard input for "-".
func (t *tool) read(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(t.stdin, shardmap.MaxBytes+1))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, shardmap.MaxBytes+1))
}

func (t *tool) readMap(name string) (*shardmap.Map, error) {
	text, err := t.read(name)
	if err != nil {
		return nil, err
	}
	m, err := shardmap.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// preview is what --output json shows of a change.
type preview struct {
	From    uint64            `json:"from_version"`
	To      uint64            `json:"to_version"`
	Changes []shardmap.Change `json:"changes"`
	Unsafe  []string          `json:"unsafe"`
	Applied bool              `json:"applied"`
}

func newPreview(from, to *shardmap.Map) preview {
	p := preview{From: from.Version(), To: to.Version(), Changes: shardmap.Diff(from, to), Unsafe: shardmap.Hazards(from, to)}
	if p.Changes == nil {
		p.Changes = []shardmap.Change{}
	}
	if p.Unsafe == nil {
		p.Unsafe = []string{}
	}
	return p
}

// show prints a change as people read it.
func (p preview) show(w io.Writer) {
	if len(p.Changes) == 0 {
		fmt.Fprintf(w, "version %d says the same as version %d\n", p.To, p.From)
		return
	}
	fmt.Fprintf(w, "version %d -> %d\n%s", p.From, p.To, shardmap.FormatChanges(p.Changes))
	for _, u := range p.Unsafe {
		fmt.Fprintf(w, "! unsafe: %s\n", u)
	}
}

func mapDiff(ctx context.Context, t *tool, _ *pflag.FlagSet, args []string) error {
	_, m, err := t.load(ctx)
	if err != nil {
		return err
	}
	next, err := t.readMap(args[0])
	if err != nil {
		return err
	}
	p := newPreview(m, next)
	if t.output == "json" {
		return t.json(p)
	}
	p.show(t.stdout)
	return nil
}

func mapApply(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	if args[0] == "-" && !t.yes {
		return usagef("map apply - reads the map where the answer would come from; add --yes")
	}
	next, err := t.readMap(args[0])
	if err != nil {
		return err
	}
	store, m, err := t.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return t.create(ctx, store, next)
	}
	if err != nil {
		return err
	}
	if next.Version() < m.Version() && !next.Equal(m) {
		return refusef("%s comes from version %d and the stored map is at %d, so it would undo what came between; make the change again on `shardctl map show`, or use `map rollback`", args[0], next.Version(), m.Version())
	}
	if next.Version() <= m.Version() {
		next = next.WithVersion(m.Version() + 1)
	}
	return t.change(ctx, store, m, next, flags, "apply "+args[0])
}

// create stores the first map.
func (t *tool) create(ctx context.Context, store stores.Store, next *shardmap.Map) error {
	if t.output != "json" {
		fmt.Fprintf(t.stdout, "%s does not exist; version %d would be its first map: %d shards, %d databases\n", t.store, next.Version(), len(next.Shards()), len(next.Databases()))
	}
	if err := t.confirm("Make it?"); err != nil {
		return err
	}
	if err := store.Swap(shardmap.WithNote(ctx, "first map"), 0, next); err != nil {
		return err
	}
	return t.applied(preview{To: next.Version(), Changes: []shardmap.Change{}, Unsafe: []string{}, Applied: true})
}

// change shows the step from m to next, refuses it if it is unsafe, asks, and
// stores it.
func (t *tool) change(ctx context.Context, store stores.Store, m, next *shardmap.Map, flags *pflag.FlagSet, note string) error {
	p := newPreview(m, next)
	if t.output != "json" {
		p.show(t.stdout)
	}
	if len(p.Changes) == 0 && m.Equal(next) {
		if t.output == "json" {
			return t.json(p)
		}
		fmt.Fprintln(t.stdout, "nothing to do")
		return nil
	}
	if forced, _ := flags.GetBool("rows-already-moved"); len(p.Unsafe) > 0 && !forced {
		if t.output == "json" {
			if err := t.json(p); err != nil {
				return err
			}
		}
		return refusef("refused, since the map moves no rows and they would not be found:\n  %s\nUse `shardctl rebalance` to move slots with their rows; if the rows already are where the new map says, add --rows-already-moved", strings.Join(p.Unsafe, "\n  "))
	}
	if err := t.confirm(fmt.Sprintf("Store version %d?", next.Version())); err != nil {
		return err
	}
	if err := store.Swap(shardmap.WithNote(ctx, note), m.Version(), next); err != nil {
		return err
	}
	p.Applied = true
	return t.applied(p)
}

func (t *tool) applied(p preview) error {
	if t.output == "json" {
		return t.json(p)
	}
	fmt.Fprintf(t.stdout, "version %d is stored in %s\n", p.To, t.store)
	return nil
}

func mapExpand(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	factor, err := strconv.Atoi(args[0])
	if err != nil {
		return usagef("FACTOR is a whole number of at least 2, not %q", args[0])
	}
	store, m, err := t.load(ctx)
	if err != nil {
		return err
	}
	next, err := m.Expand(factor)
	if err != nil {
		return usagef("%w", err)
	}
	return t.change(ctx, store, m, next, flags, "expand "+args[0])
}

func mapHistory(ctx context.Context, t *tool, _ *pflag.FlagSet, _ []string) error {
	store, err := t.open()
	if err != nil {
		return err
	}
	list, err := store.Revisions(ctx)
	if err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(list)
	}
	rows := make([][]string, len(list))
	for i, r := range list {
		rows[i] = []string{strconv.FormatUint(r.Version, 10), r.Time.Format("2006-01-02 15:04:05 MST"), r.Author, r.Note}
	}
	return t.table([]string{"VERSION", "TIME", "AUTHOR", "NOTE"}, rows)
}

func mapRollback(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	version, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return usagef("VERSION is a number from `shardctl map history`, not %q", args[0])
	}
	store, m, err := t.load(ctx)
	if err != nil {
		return err
	}
	old, err := store.Revision(ctx, version)
	if err != nil {
		return err
	}
	return t.change(ctx, store, m, old.WithVersion(m.Version()+1), flags, "rollback to "+args[0])
}
