// Gosql is the matrix for go-sql-driver.
package main

func main() {}
