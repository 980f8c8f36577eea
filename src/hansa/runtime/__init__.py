"""What keeps a process alive and honest: journal, warm workers, supervised children, shutdown, logs."""
