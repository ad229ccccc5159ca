"""What is believed of a balance's use and runway: fitted, kept, asked for."""
