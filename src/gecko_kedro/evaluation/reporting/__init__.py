"""What a person reads: report, model card, figures and the table on the terminal."""
