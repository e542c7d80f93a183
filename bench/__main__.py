"""`python -m bench`."""

from bench.cli.interrupts import end_politely

end_politely()  # before anything that takes a while

from bench.cli.main import main  # noqa: E402

main()
