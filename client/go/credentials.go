package checkpointd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

// WithToken shows an API key or a JWT, for servers that ask who calls. Without it, WithTokenFunc, WithTokenFile and WithTLS, the
// variables CHECKPOINTD_TOKEN, _TOKEN_FILE, _TLS, _CA_FILE, _CERT_FILE, _KEY_FILE and _PLAINTEXT say all of this.
func WithToken(token string) Option {
	return WithTokenFunc(func(context.Context) (string, error) { return token, nil })
}

// WithTokenFunc asks for the token of every call.
func WithTokenFunc(token func(context.Context) (string, error)) Option {
	return func(c *Client) { c.token = token }
}

// WithTokenFile shows the token in a file, which is read again when it changes.
func WithTokenFile(path string) Option {
	file := &tokenFile{path: path}
	return WithTokenFunc(func(context.Context) (string, error) { return file.read() })
}

// WithPlaintext sends a token without TLS to other machines too: something else keeps it secret.
func WithPlaintext() Option { return func(c *Client) { c.plaintext = true } }

// Targets that do not leave this machine, and what may go into a header.
var (
	loopback = regexp.MustCompile(`(?i)\A(?:(?:dns:(?://[^/]*/)?|passthrough:///|ipv4:|ipv6:)?(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?|unix.*)\z`)
	tokens   = regexp.MustCompile(`\A[\x21-\x7e]+\z`)
)

// fromEnvironment takes from the environment what was not said in code.
func (c *Client) fromEnvironment(get func(string) string) error {
	if c.token != nil || c.tls != nil {
		return nil
	}
	text := func(name string) string { return get("CHECKPOINTD_" + name) }
	switch token, path := text("TOKEN"), text("TOKEN_FILE"); {
	case token != "" && path != "":
		return c.invalid("CHECKPOINTD_TOKEN_FILE", "it is there beside CHECKPOINTD_TOKEN; set one of them")
	case token != "":
		WithToken(token)(c)
	case path != "":
		WithTokenFile(path)(c)
	}
	secure, err := c.truth("CHECKPOINTD_TLS", text("TLS"))
	if err != nil {
		return err
	}
	plaintext, err := c.truth("CHECKPOINTD_PLAINTEXT", text("PLAINTEXT"))
	if err != nil {
		return err
	}
	c.plaintext = c.plaintext || plaintext
	return c.tlsOf(secure, text("CA_FILE"), text("CERT_FILE"), text("KEY_FILE"))
}

func (c *Client) tlsOf(secure bool, ca, cert, key string) error {
	if !secure && ca == "" && cert == "" && key == "" {
		return nil
	}
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		c.tls.RootCAs = x509.NewCertPool()
		if err != nil || !c.tls.RootCAs.AppendCertsFromPEM(pem) {
			return c.invalid("CHECKPOINTD_CA_FILE", "it is no file with certificates")
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return c.invalid("CHECKPOINTD_CERT_FILE", "it and CHECKPOINTD_KEY_FILE are no certificate and its key")
		}
		c.tls.Certificates = []tls.Certificate{pair}
	}
	return nil
}

func (c *Client) truth(name, given string) (bool, error) {
	switch strings.ToLower(given) {
	case "1", "true", "yes":
		return true, nil
	case "", "0", "false", "no":
		return false, nil
	}
	return false, c.invalid(name, "it is neither 1 nor 0")
}

// checkToken refuses to show a token where others can read it.
func (c *Client) checkToken() error {
	if c.token == nil || c.tls != nil || c.plaintext {
		return nil
	}
	for _, place := range strings.Split(c.target, ",") {
		if !loopback.MatchString(place) {
			return c.invalid("token", "it would be sent where others can read it; use WithTLS (CHECKPOINTD_TLS=1), or "+
				"WithPlaintext (CHECKPOINTD_PLAINTEXT=1) if something else keeps it secret")
		}
	}
	return nil
}

// authorization is the metadata that shows the token, as key and value; none without one.
func (c *Client) authorization(ctx context.Context) ([]string, error) {
	if c.token == nil {
		return nil, nil
	}
	token, err := c.token(ctx)
	if err != nil {
		return nil, c.invalid("token", fmt.Sprintf("it can't be had: %v", err))
	}
	if !tokens.MatchString(token) {
		return nil, c.invalid("token", "it is empty, or has a space or a character that is none of ASCII's")
	}
	return []string{"authorization", "Bearer " + token}, nil
}

type tokenFile struct {
	path    string
	mutex   sync.Mutex
	changed time.Time
	token   string
}

func (f *tokenFile) read() (string, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	found, err := os.Stat(f.path)
	if err != nil {
		return "", err
	}
	if f.token == "" || !found.ModTime().Equal(f.changed) {
		content, err := os.ReadFile(f.path)
		if err != nil {
			return "", err
		}
		f.changed, f.token = found.ModTime(), strings.TrimSpace(string(content))
	}
	return f.token, nil
}
