"""A verdict on a submission: stages, marks, and the forms it is shown in."""
