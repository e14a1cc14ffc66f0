"""One layer on one chip: searched, remembered, made a schedule, told as text."""
