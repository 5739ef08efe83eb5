"""Child processes that do a stage's heavy work, so that the stage itself stays small."""
