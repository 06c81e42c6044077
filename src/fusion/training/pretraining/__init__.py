"""What learners may do before training proper: pretraining of encoders and fusion on the training part of a fold."""
