// The Kubernetes components that the tests talk to, in one binary: the first argument (or the name it is called by) says
// which. They are the real ones, built from their own modules, so that no test speaks with an imitation.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
)

var components = map[string]func(){
	"certs":          certs,
	"etcd":           func() { etcdmain.Main(os.Args) },
	"kube-apiserver": run(apiserver.NewAPIServerCommand),
	"kube-proxy":     run(proxy.NewProxyCommand), // the peer of the benchmarks
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, known := components[name]; !known && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = append([]string{name}, os.Args[2:]...)
	}
	start, known := components[name]
	if !known {
		fmt.Fprintf(os.Stderr, "usage: components {%s} [flags]\n", strings.Join(names(), "|"))
		os.Exit(2)
	}
	start()
}

func run(command func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(command())) }
}

func names() []string {
	list := make([]string, 0, len(components))
	for name := range components {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}
