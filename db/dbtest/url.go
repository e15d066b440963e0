package dbtest

// ServerURL is the URL of the PostgreSQL server that the tests use, for programs that
// make databases there by themselves and drop them. A throwaway server goes away when
// the program ends.
func ServerURL() (string, error) {
	base, err := server()
	if err != nil {
		return "", err
	}
	return base.url.String(), nil
}
