"""Parts drawn at random from each shift for blind review, by a draw that anybody can repeat and nobody can steer."""
