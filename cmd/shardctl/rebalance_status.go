package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"shardway/shardmap"
	"shardway/shardmap/rebalance"
	"shardway/shardmap/server"
)

// operator is the login that the configuration and the flags name.
func (t *tool) operator(flags *pflag.FlagSet) (server.Account, error) {
	c, err := t.settings("servers", "failover")
	if err != nil {
		return server.Account{}, err
	}
	return accountOf(c, flags)
}

// engineOptions are what the configuration, the environment and the flags say.
func (t *tool) engineOptions(flags *pflag.FlagSet) (rebalance.Options, error) {
	c, err := t.settings("servers", "failover")
	if err != nil {
		return rebalance.Options{}, err
	}
	o := rebalance.Options{ProxyUser: c.Servers.User}
	if o.Account, err = accountOf(c, flags); err != nil {
		return o, err
	}
	o.Limit, _ = flags.GetInt("limit")
	o.MaxLag, _ = flags.GetDuration("max-lag")
	o.Share, _ = flags.GetInt("share")
	o.PauseLimit, _ = flags.GetDuration("pause")
	if flags.Lookup("allow-strays") != nil {
		o.AllowStrays, _ = flags.GetBool("allow-strays")
	}
	if flags.Changed("share") && (o.Share < 1 || o.Share > 100) {
		return o, usagef("--share is a percentage, from 1 to 100")
	}
	if o.Limit < 0 || o.MaxLag <= 0 || o.PauseLimit <= 0 {
		return o, usagef("--limit isn't negative, and --max-lag and --pause are longer than 0s")
	}
	return o, nil
}

func rebalanceStatus(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	store, m, err := t.load(ctx)
	if err != nil {
		return err
	}
	list := rebalances(m)
	if len(args) > 0 {
		r, err := which(m, args)
		if err != nil {
			return err
		}
		list = []found{r}
	}
	o, err := t.engineOptions(flags)
	if err != nil {
		return err
	}
	reports := []rebalance.Report{}
	for _, r := range list {
		report := rebalance.Report{Progress: r.progress(m)}
		if !all(r.moves, shardmap.MovePlanned) {
			asked, err := rebalance.New(store, o).Status(ctx, r.id)
			if err == nil {
				report = asked
			} else { // the map is worth showing all the same
				report.Warnings = []string{"what the servers know of it can't be shown: " + err.Error()}
			}
		}
		if r.only != "" {
			report.Moves = slices.DeleteFunc(report.Moves, func(v rebalance.MoveProgress) bool { return v.ID != r.only })
		}
		reports = append(reports, report)
	}
	if t.output == "json" {
		return t.json(map[string]any{"version": m.Version(), "rebalances": reports})
	}
	if len(list) == 0 {
		fmt.Fprintln(t.stdout, "no rebalance is planned or under way")
		return nil
	}
	var lines [][]string
	for _, r := range reports {
		for _, v := range r.Moves {
			if r.By == "" { // what the last engine said of its moments is past
				v.Phase, v.Step, v.Wait, v.Rate, v.Left, v.Lag = "", "", "", 0, 0, -1
			}
			lines = append(lines, statusLine(&v))
		}
	}
	if err := t.table([]string{"MOVE", "DATABASE", "FROM", "TO", "STATE", "WANT", "PHASE", "ROWS", "RATE", "LAG", "LEFT", "STRAYS"}, lines); err != nil {
		return err
	}
	for _, r := range reports {
		for _, v := range r.Moves {
			if v.Wait != "" && r.By != "" {
				fmt.Fprintf(t.stdout, "%s waits: %s\n", v.ID, v.Wait)
			}
			if v.Error != "" {
				fmt.Fprintf(t.stdout, "%s: %s\n", v.ID, v.Error)
			}
		}
		if r.By != "" {
			fmt.Fprintf(t.stdout, "%s is run by %s\n", r.Rebalance, r.By)
		} else if !plannedOnly(r.Moves) {
			fmt.Fprintf(t.stdout, "%s is run by nobody now; shardctl rebalance start %s goes on\n", r.Rebalance, r.Rebalance)
		}
		for _, w := range r.Warnings {
			fmt.Fprintf(t.stdout, "warning: %s\n", w)
		}
		t.strays(r.Strays)
	}
	return nil
}

// progress is what the map alone says.
func (r found) progress(m *shardmap.Map) rebalance.Progress {
	p := rebalance.Progress{Rebalance: r.id, At: time.Now(), Version: m.Version(), Moves: []rebalance.MoveProgress{}}
	for _, v := range r.moves {
		p.Moves = append(p.Moves, rebalance.MoveProgress{
			ID: v.ID, Database: v.Database.Name, From: v.From.ID, To: v.To.ID, Slots: shardmap.FormatSlots(v.Slots()),
			State: v.State, Want: v.Want, Hold: v.Hold, Lag: -1,
		})
	}
	return p
}

func plannedOnly(moves []rebalance.MoveProgress) bool {
	for _, v := range moves {
		if v.State != shardmap.MovePlanned {
			return false
		}
	}
	return true
}

func statusLine(v *rebalance.MoveProgress) []string {
	phase := string(v.Phase)
	if v.Step != "" {
		phase += ": " + v.Step
	}
	want := string(v.Want)
	if v.Hold {
		want = strings.TrimSpace(want + " (held)")
	}
	return []string{
		v.ID, v.Database, v.From, v.To, string(v.State), dash(want), dash(phase), rowsText(v), rateText(v), lagText(v), leftText(v), strconv.Itoa(v.Strays),
	}
}

func rowsText(v *rebalance.MoveProgress) string {
	if v.Rows == 0 && v.RowsTotal == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", v.Rows, max(v.Rows, v.RowsTotal))
}

func rateText(v *rebalance.MoveProgress) string {
	if v.Rate <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f/s", v.Rate)
}

func lagText(v *rebalance.MoveProgress) string {
	if v.Lag < 0 || v.State == shardmap.MovePlanned {
		return "-"
	}
	return v.Lag.Round(time.Millisecond).String()
}

func leftText(v *rebalance.MoveProgress) string {
	if v.Left <= 0 {
		return "-"
	}
	return v.Left.Round(time.Second).String()
}

// strays lists rows that were written past the proxies.
func (t *tool) strays(list []rebalance.Stray) {
	for i, s := range list {
		if i == 20 {
			fmt.Fprintf(t.stdout, "%d more strays; --output json lists them all\n", len(list)-i)
			return
		}
		fmt.Fprintf(t.stdout, "stray: %s (%s) was written past the proxies at %s, transaction %s: there it is %s, at the owner %s\n",
			s.Table, s.Key, s.At.Format("2006-01-02 15:04:05"), s.GTID, orGone(s.Here), orGone(s.Owner))
	}
}

func orGone(row string) string {
	if row == "" {
		return "not there"
	}
	return row
}

// plainEvery is how often progress is told where it isn't a terminal.
const plainEvery = 5 * time.Second

// meter shows progress while it changes: on a terminal in place, elsewhere as
// lines now and then.
type meter struct {
	w     io.Writer
	live  bool
	lines int // on the terminal, to be written over
	told  map[string]string
	at    time.Time
}

func (t *tool) meter() *meter {
	w := t.stdout
	if t.output == "json" {
		w = t.stderr
	}
	return &meter{w: w, live: isTerminal(w), told: map[string]string{}}
}

func (m *meter) show(p rebalance.Progress) {
	// Nothing is known of a move before the engine has looked at it.
	p.Moves = slices.DeleteFunc(p.Moves, func(v rebalance.MoveProgress) bool { return v.State == "" })
	if m.live {
		m.wipe()
		fmt.Fprint(m.w, "\x1b[?7l") // no wrapping: a line that takes two can't be written over
		for _, v := range p.Moves {
			fmt.Fprintln(m.w, progressLine(&v))
		}
		fmt.Fprint(m.w, "\x1b[?7h")
		m.lines = len(p.Moves)
		return
	}
	due := time.Since(m.at) >= plainEvery
	for _, v := range p.Moves {
		key := fmt.Sprint(v.State, v.Phase, v.Wait, v.Error)
		if !due && m.told[v.ID] == key {
			continue
		}
		if due && m.told[v.ID] == key && (v.Phase == rebalance.PhaseLevel || v.Phase == rebalance.PhaseHeld || v.Phase == rebalance.PhaseDone) {
			continue // nothing happens
		}
		m.told[v.ID] = key
		fmt.Fprintln(m.w, p.At.Format("15:04:05"), progressLine(&v))
	}
	if due {
		m.at = time.Now()
	}
}

// wipe takes back what the terminal shows.
func (m *meter) wipe() {
	if m.lines > 0 {
		fmt.Fprintf(m.w, "\x1b[%dA\x1b[J", m.lines)
		m.lines = 0
	}
}

// end leaves the last progress where it stands.
func (m *meter) end() { m.lines = 0 }

func progressLine(v *rebalance.MoveProgress) string {
	out := []string{fmt.Sprintf("%s %s %s>%s %s", v.ID, v.Database, v.From, v.To, v.State)}
	if v.Phase != "" {
		phase := string(v.Phase)
		if v.Step != "" {
			phase += " " + v.Step
		}
		out = append(out, phase)
	}
	if rows := rowsText(v); rows != "-" {
		if v.RowsTotal > 0 {
			rows += fmt.Sprintf(" rows, %d%%", min(100, 100*v.Rows/v.RowsTotal))
		}
		out = append(out, rows)
	}
	for _, part := range []struct{ name, text string }{{"", rateText(v)}, {"lag ", lagText(v)}, {"left ", leftText(v)}} {
		if part.text != "-" {
			out = append(out, part.name+part.text)
		}
	}
	if v.Strays > 0 {
		out = append(out, fmt.Sprintf("%d strays", v.Strays))
	}
	if v.Wait != "" {
		out = append(out, "waits: "+v.Wait)
	}
	if v.Error != "" {
		out = append(out, v.Error)
	}
	return strings.Join(out, ", ")
}
