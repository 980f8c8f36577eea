"""Jobs and their money as parties see them: posting, settlement, claims."""
