package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/morango-go/morango/server/userfile"
)

// userCmd manages the file of users.
type userCmd struct {
	Add userAddCmd `cmd:"" help:"Add a user, or give one a new password."`
}

type userAddCmd struct {
	Users        string            `required:"" type:"path" placeholder:"FILE" help:"File of users; it is made when it is not there."`
	Name         string            `arg:"" help:"Name of the user."`
	PasswordFile string            `type:"existingfile" placeholder:"FILE" help:"File that holds the password; it is asked for otherwise."`
	Replace      bool              `help:"Give a user that is there already the new password and rights."`
	Scope        []string          `placeholder:"ID" help:"Scope definition that the user may ask certificates for; all when not given."`
	Params       map[string]string `name:"param" placeholder:"NAME=VALUE" help:"Parameter that the certificates must have."`
}

// Run adds the user.
func (f *userAddCmd) Run(ctx context.Context, c console) error {
	password, err := readPassword(ctx, c, f.PasswordFile, "Password of "+f.Name+": ", true)
	if err != nil {
		return err
	}
	account := userfile.Account{Name: f.Name, Scopes: f.Scope, Params: f.Params}
	err = userfile.Add(f.Users, account, password, f.Replace, rand.Reader)
	if errors.Is(err, userfile.ErrExists) {
		return fmt.Errorf("%w; use --replace to give the user a new password", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "User %s may ask for certificates where --users %s is given.\n", f.Name, f.Users)
	return nil
}
