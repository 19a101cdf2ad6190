package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/artifacts"
	"koboshi/systemd/install"
)

// loadConfig reads the configuration file and its drop-ins, and the environment
// that is stored next to them.
func (c *cli) loadConfig() (*config.Config, error) {
	if err := c.loadEnvironment(); err != nil {
		return nil, err
	}
	return readConfig(c.configFile)
}

func readConfig(file string) (*config.Config, error) {
	names, err := dropIns(file)
	if err != nil {
		return nil, err
	}
	var files []config.File
	for _, name := range append([]string{file}, names...) {
		data, err := readDeciding(name)
		if _, opening := errors.AsType[*fs.PathError](err); opening && name == file && name != defaultConfig {
			err = failure.Mark(unreadable(name, err), failure.ErrConfiguration)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, failure.WithHint(err, missingConfigHint(filepath.Dir(name)))
		}
		if err != nil {
			return nil, err
		}
		files = append(files, config.File{Name: name, Data: data})
	}
	cfg, err := config.Parse(files...)
	if err != nil {
		return nil, err
	}
	return cfg, loadRoots(cfg)
}

// missingConfigHint names the apps whose configurations are where none of that
// name is.
func missingConfigHint(dir string) string {
	if apps := appsIn(dir); strings.HasSuffix("/"+dir, install.ConfigDir) && len(apps) > 0 {
		return "choose an app: --config " + strings.Join(apps, ", or --config ")
	}
	return "bake a configuration in, or give one with --config"
}

// loadRoots reads the certificates of health.ca.
func loadRoots(cfg *config.Config) error {
	if cfg.Health.CA == "" {
		return nil
	}
	roots, err := readKey(cfg.Health.CA, readDeciding, parseRoots)
	if err != nil {
		return failure.Mark(fmt.Errorf("health.ca: %w", err), failure.ErrConfiguration)
	}
	cfg.Health.Roots = roots
	return nil
}

// parseRoots reads PEM certificates: what stands between them is ignored, but
// nothing that is no certificate.
func parseRoots(text []byte) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	for found := false; ; found = true {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			if !found {
				return nil, errors.New("no certificate in PEM form is in it")
			}
			return roots, nil
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("want certificates only, found a %s", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		roots.AddCert(certificate)
	}
}

// loadEnvironment sets the variables of the file environment in the directory of
// the configuration: the units use it, and so does a command at a shell. Variables
// that are set already stay.
func (c *cli) loadEnvironment() error {
	name := filepath.Join(filepath.Dir(c.configFile), "environment")
	if info, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return nil
	}
	data, err := readDeciding(name)
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return nil // it may have a proxy's password, and is root's
	}
	if err != nil {
		return err
	}
	variables, err := config.ParseEnvironment(config.File{Name: name, Data: data})
	if err != nil {
		return err
	}
	for _, v := range variables {
		if _, given := os.LookupEnv(v.Name); given {
			continue
		}
		if err := os.Setenv(v.Name, v.Value); err != nil {
			return failure.Mark(err, failure.ErrConfiguration)
		}
	}
	return nil
}

// dropIns are the files of NAME.d next to the configuration NAME.toml, in name
// order.
func dropIns(file string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(strings.TrimSuffix(file, ".toml")+".d", "*.toml"))
	if err != nil {
		return nil, failure.Mark(err, failure.ErrConfiguration)
	}
	slices.Sort(names)
	return names, nil
}

// loadTrust reads the trusted keys.
func loadTrust(cfg *config.Config) (artifacts.Trust, error) {
	keys, promoters, err := trustedKeys(cfg)
	if err != nil {
		return artifacts.Trust{}, err
	}
	trust, err := artifacts.NewTrust(version, cfg.Trust.Threshold, keys...)
	if err == nil && len(promoters) > 0 {
		trust, err = trust.WithPromoters(cfg.Trust.Promoters(), promoters...)
	}
	if err != nil {
		return trust, failure.Mark(fmt.Errorf("trust: %w", err), failure.ErrConfiguration)
	}
	return trust, nil
}

// trustedKeys are trust.keys and trust.promote_keys.
func trustedKeys(cfg *config.Config) (keys, promoters []artifacts.PublicKey, err error) {
	if keys, err = readTrusted("trust.keys", cfg.Trust.Keys); err == nil {
		promoters, err = readTrusted("trust.promote_keys", cfg.Trust.PromoteKeys)
	}
	return keys, promoters, err
}

func readTrusted(setting string, names []string) (keys []artifacts.PublicKey, err error) {
	for _, name := range names {
		these, err := readKey(name, readDeciding, artifacts.ParsePublicKeys)
		if errors.Is(err, fs.ErrNotExist) {
			err = failure.WithHint(err, "put the public key there (koboshi keygen makes a pair), or correct "+setting)
		}
		if err != nil {
			return nil, failure.Mark(fmt.Errorf("%s: %w", setting, err), failure.ErrConfiguration)
		}
		keys = append(keys, these...)
	}
	return keys, nil
}

func readKey[K any](name string, read func(string) ([]byte, error), parse func([]byte) (K, error)) (key K, err error) {
	data, err := read(name)
	if err != nil {
		return key, err
	}
	if key, err = parse(data); err != nil {
		return key, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// maxFile bounds what is read of a configuration, a key or a report. A device may
// have no end.
const maxFile = 16 << 20

// readArgument reads the file of an argument.
func readArgument(name string) ([]byte, error) {
	data, err := readFile(name)
	if err != nil {
		err = unreadable(name, err)
	}
	return data, err
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return data, err
}
