"""How many millimetres a pixel stands for at each station, and the rule about the size of defects that rests on it."""
