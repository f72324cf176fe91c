// Command cloakroom is a backend-for-frontend gateway: it signs users in at an OpenID Provider, keeps their tokens on
// the server and puts them on API calls. `cloakroom help` lists its commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/cloakroom/cloakroom/cmd/internal/demo"
	"github.com/cloakroom/cloakroom/cmd/internal/gateway"
	"github.com/cloakroom/cloakroom/session"
)

const usage = `usage:
  cloakroom demo [-listen ADDR]             try it: OP, API, application and gateway on this machine
  cloakroom check -config FILE [-offline]   try a configuration: the file, every OP, the store
  cloakroom serve -config FILE              run the gateway until SIGTERM; SIGHUP reads the key ring again
  cloakroom sessions list [-sub S] [-sid S] [-id I] [-provider P] [-json]
                                            print the sessions of a running gateway, by asking its admin listener
  cloakroom sessions end [-sub S] [-sid S] [-id I] [-provider P]
                                            end those; both: [-admin ADDR] [-token-file FILE],
                                            where ADDR is 127.0.0.1:9090, another host:port or unix:/path
  cloakroom keygen session                  print a new line for the session key ring
  cloakroom keygen client [-alg ALG]        print a new client key for ES256 or ALG, as a private JWK set
  cloakroom version                         print version, commit and Go version
`

// usageError is a command line that makes no sense.
type usageError string

func (e usageError) Error() string { return "cloakroom: " + string(e) }

// errReported is a failure of which everything has been said.
var errReported = errors.New("failed")

func main() {
	log.SetOutput(io.Discard) // where net/http quotes what upstreams and OPs send out of turn; all else has a logger of its own
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal does not wait for requests in flight
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its process. It returns the exit code: 0 well, 1 failed, 2 wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := command(ctx, args, stdout)
	_, misused := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case misused:
		fmt.Fprintf(stderr, "%v\n%s", err, usage)
		return 2
	case !errors.Is(err, errReported):
		fmt.Fprintln(stderr, err)
	}
	return 1
}

func command(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return usageError("a command is missing")
	}
	name, args := args[0], args[1:]
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run says it
	switch name {
	case "serve":
		file := flags.String("config", "", "")
		if err := parse(flags, args, file); err != nil {
			return err
		}
		return serve(ctx, *file)
	case "demo":
		listen := flags.String("listen", "127.0.0.1:8080", "")
		if err := parse(flags, args, nil); err != nil {
			return err
		}
		return demo.Run(ctx, demo.Options{Listen: *listen, Out: stdout})
	case "check":
		file, offline := flags.String("config", "", ""), flags.Bool("offline", false, "")
		if err := parse(flags, args, file); err != nil {
			return err
		}
		if !gateway.Check(ctx, *file, stdout, *offline) {
			return errReported
		}
		return nil
	case "sessions":
		return sessions(ctx, args, stdout)
	case "keygen":
		return keygen(args, stdout)
	case "version":
		if err := parse(flags, args, nil); err != nil {
			return err
		}
		fmt.Fprintln(stdout, versionLine())
		return nil
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	}
	return usageError("there is no command " + name)
}

// parse reads the flags of a command. A configuration file, where the command has one, must be named.
func parse(flags *flag.FlagSet, args []string, file *string) error {
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return usageError(flags.Name() + ": " + err.Error())
	case flags.NArg() > 0:
		return usageError(flags.Name() + ": what is " + flags.Arg(0) + "?")
	case file != nil && *file == "":
		return usageError(flags.Name() + " needs -config FILE")
	}
	return nil
}

func serve(ctx context.Context, file string) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // first of all: by default it ends the process
	defer signal.Stop(hangups)
	config, err := gateway.Load(file)
	if err != nil {
		return err
	}
	g, err := gateway.New(config, gateway.Options{})
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		for {
			select {
			case <-hangups:
				g.ReloadKeys()
			case <-stopped:
				return
			}
		}
	}()
	ballast := newBallast()
	defer runtime.KeepAlive(ballast)
	return g.Run(ctx)
}

func keygen(args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return usageError("keygen needs session or client")
	}
	name, args := args[0], args[1:]
	flags := flag.NewFlagSet("keygen "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	switch name {
	case "session":
		if err := parse(flags, args, nil); err != nil {
			return err
		}
		fmt.Fprintln(stdout, session.GenerateKey(time.Now()))
		return nil
	case "client":
		alg := flags.String("alg", "ES256", "")
		if err := parse(flags, args, nil); err != nil {
			return err
		}
		return printClientKey(stdout, *alg)
	}
	return usageError("keygen needs session or client, not " + name)
}
