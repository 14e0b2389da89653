"""What is compared: arms of the loop, reasoners in the model's place, floors without a model."""
