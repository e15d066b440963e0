package main

import (
	"fmt"

	"github.com/morango-go/morango/server"
)

// userCmd manages the file of users.
type userCmd struct {
	Add userAddCmd `cmd:"" help:"Add a user, or give one a new password."`
}

type userAddCmd struct {
	Users        string   `required:"" type:"path" placeholder:"FILE" help:"File of users; it is made when it is not there."`
	Name         string   `arg:"" help:"Name of the user."`
	PasswordFile string   `type:"existingfile" placeholder:"FILE" help:"File that holds the password; it is asked for otherwise."`
	Scope        []string `placeholder:"ID" help:"Scope definition that the user may ask certificates for; all when not given."`
}

// Run adds the user.
func (f *userAddCmd) Run(c console) error {
	password, err := readPassword(c, f.PasswordFile, "Password of "+f.Name+": ")
	if err != nil {
		return err
	}
	if err := server.AddUser(f.Users, f.Name, password, f.Scope...); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "User %s may ask for certificates where --users %s is given.\n", f.Name, f.Users)
	return nil
}
