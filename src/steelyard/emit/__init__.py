"""Plan to text. The only place where engine text exists; every argument goes through a quoting function."""
