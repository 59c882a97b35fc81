"""From a decoded image to the model's input: lighting, position, and whether it can be judged at all."""
