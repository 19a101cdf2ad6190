package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"koboshi/agent/awstest/control"
	"koboshi/agent/awstest/dynamodb"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/awstest/s3"
)

func (m *mock) fault() *cobra.Command {
	var f faults.Fault
	var delay, late, skew time.Duration
	cmd := &cobra.Command{
		Use:   "fault [JSON]",
		Short: "script a fault and print its id",
		Long: "Scripts a fault, given as JSON or by flags, and prints its id. JSON has more fields: see the package awstest.\n" +
			"A request that is held takes effect once the fault is removed (koboshi-mock faults --remove ID), a late one by itself,\n" +
			"both even if the client has gone. With --times 1 only the first try of a client meets the fault.",
		Example: "  # a write that takes effect, but whose answer is lost\n" +
			"  koboshi-mock fault --service s3 --operation PutObject --times 1 --applied --reset\n" +
			"  # one that is lost now and takes effect a minute later, and one that takes effect a second time then\n" +
			"  koboshi-mock fault --service s3 --operation PutObject --times 1 --applied --reset --late 1m\n" +
			"  koboshi-mock fault --service dynamodb --operation UpdateItem --times 1 --repeated --late 1m\n" +
			"  # a conflict, throttling, a missing right, and a clock that is an hour behind\n" +
			"  koboshi-mock fault --service s3 --operation PutObject --times 1 --status 409 --code ConditionalRequestConflict\n" +
			"  koboshi-mock fault --service dynamodb --percent 50 --status 400 --code ProvisionedThroughputExceededException\n" +
			"  koboshi-mock fault --service dynamodb --operation UpdateItem --status 400 --code AccessDeniedException\n" +
			"  koboshi-mock fault --date-skew=-1h",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch byFlags := ownFlags(cmd) > 0; {
			case byFlags == (len(args) == 1):
				return errors.New("a fault is given by either JSON or flags")
			case byFlags:
				if late < 0 || delay < 0 {
					return errors.New("--delay and --late are not below 0")
				}
				f.Delay, f.Late, f.DateSkew = faults.Duration(delay), faults.Duration(late), faults.Offset(skew)
				return m.addFault(cmd, f)
			}
			f, err := control.Parse[faults.Fault]([]byte(args[0]))
			if err != nil {
				return err
			}
			return m.addFault(cmd, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Service, "service", "", strings.Join(faults.Services, ", "))
	flags.StringVar(&f.Operation, "operation", "", "such as GetObject or 'PUT /latest/api/token'")
	flags.StringVar(&f.Path, "path", "", "part of the path")
	flags.StringVar(&f.Instance, "instance", "", "`ID` of the instance that asks")
	flags.IntVar(&f.Skip, "skip", 0, "let so many through first")
	flags.IntVar(&f.Times, "times", 0, "then act so often (0 = always)")
	flags.IntVar(&f.Percent, "percent", 0, "act on this share (0 = all)")
	flags.IntVar(&f.Status, "status", 0, "HTTP status")
	flags.StringVar(&f.Code, "code", "", "AWS error code")
	flags.StringVar(&f.Message, "message", "", "error text with it")
	flags.BoolVar(&f.Applied, "applied", false, "the request takes effect, only its answer is lost")
	flags.DurationVar(&delay, "delay", 0, "wait first")
	flags.BoolVar(&f.Held, "held", false, "the request takes effect once the fault is removed")
	flags.DurationVar(&late, "late", 0, "the request takes effect so much later")
	flags.BoolVar(&f.Repeated, "repeated", false, "with --held or --late: it takes effect at once, and then once more")
	flags.DurationVar(&skew, "date-skew", 0, "the answer's Date is so much ahead, below 0 behind")
	flags.BoolVar(&f.Hang, "hang", false, "never answer")
	flags.BoolVar(&f.Reset, "reset", false, "reset the connection")
	flags.Int64Var(&f.Cut, "cut", 0, "end the body after so many `bytes`")
	flags.Int64Var(&f.BytesPerSecond, "bytes-per-second", 0, "slow the body down")
	return cmd
}

// oneOf refuses two flags together.
func oneOf(cmd *cobra.Command, a, b string) {
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed(a) && cmd.Flags().Changed(b) {
			return fmt.Errorf("--%s and --%s cannot be combined", a, b)
		}
		return nil
	}
}

// ownFlags counts the flags that were given, without those of every command.
func ownFlags(cmd *cobra.Command) (n int) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if cmd.InheritedFlags().Lookup(f.Name) == nil {
			n++
		}
	})
	return n
}

func (m *mock) addFault(cmd *cobra.Command, fault faults.Fault) error {
	if err := fault.Check(); err != nil {
		return err
	}
	var added struct {
		ID int `json:"id"`
	}
	if err := m.do(cmd, http.MethodPost, "faults", fault, &added); err != nil {
		return err
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), added.ID)
	return wrap(err)
}

func (m *mock) faults() *cobra.Command {
	var clearAll bool
	var remove int
	cmd := &cobra.Command{
		Use: "faults", Short: "print, clear or remove scripted faults", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case clearAll:
				return m.do(cmd, http.MethodDelete, "faults", nil, nil)
			case remove != 0:
				return m.do(cmd, http.MethodDelete, fmt.Sprintf("faults/%d", remove), nil, nil)
			default:
				return m.show(cmd, "faults")
			}
		},
	}
	cmd.Flags().BoolVar(&clearAll, "clear", false, "remove them all")
	cmd.Flags().IntVar(&remove, "remove", 0, "remove the one with this `ID`; requests that it holds take effect")
	oneOf(cmd, "clear", "remove")
	return cmd
}

func (m *mock) calls() *cobra.Command {
	var service, operation, instance string
	var count, reset bool
	cmd := &cobra.Command{
		Use: "calls", Short: "print or count the requests that came in", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := (faults.Fault{Service: service}).Check(); err != nil {
				return err
			}
			path := "calls?" + url.Values{"service": {service}, "operation": {operation}, "instance": {instance}}.Encode()
			switch {
			case reset:
				return m.do(cmd, http.MethodDelete, "calls", nil, nil)
			case count:
				return m.countCalls(cmd, path)
			default:
				return m.show(cmd, path)
			}
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&service, "service", "", "only of one of "+strings.Join(faults.Services, ", "))
	flags.StringVar(&operation, "operation", "", "only this one, such as GetObject")
	flags.StringVar(&instance, "instance", "", "only by the instance with this `ID`")
	flags.BoolVar(&count, "count", false, "print how many there are")
	flags.BoolVar(&reset, "reset", false, "empty the log")
	oneOf(cmd, "count", "reset")
	return cmd
}

func (m *mock) countCalls(cmd *cobra.Command, path string) error {
	var calls []faults.Call
	if err := m.do(cmd, http.MethodGet, path, nil, &calls); err != nil {
		return err
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), len(calls))
	return wrap(err)
}

func (m *mock) table() *cobra.Command {
	var t control.Table
	var partition, sort string
	cmd := &cobra.Command{
		Use: "table NAME", Short: "create a table in DynamoDB", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.Name = args[0]
			var err error
			if t.Partition, err = parseKey(partition); err != nil {
				return err
			}
			if sort != "" {
				if t.Sort, err = parseKey(sort); err != nil {
					return err
				}
			}
			return m.do(cmd, http.MethodPost, "tables", t, nil)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&t.Region, "region", "us-east-1", "`NAME` of its region")
	flags.StringVar(&partition, "partition", "shard:S", "`NAME:TYPE` of its partition key; types are S, N and B")
	flags.StringVar(&sort, "sort", "id:N", "`NAME:TYPE` of its sort key, empty for none")
	return cmd
}

func parseKey(text string) (dynamodb.Key, error) {
	name, kind, found := strings.Cut(text, ":")
	if !found || name == "" || kind == "" {
		return dynamodb.Key{}, fmt.Errorf("%q is no NAME:TYPE", text)
	}
	return dynamodb.Key{Name: name, Type: kind}, nil
}

func (m *mock) bucket() *cobra.Command {
	return &cobra.Command{
		Use: "bucket NAME", Short: "create a bucket", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s3.CheckBucketName(args[0]); err != nil {
				return err
			}
			return m.do(cmd, http.MethodPost, "buckets/"+url.PathEscape(args[0]), nil, nil)
		},
	}
}
