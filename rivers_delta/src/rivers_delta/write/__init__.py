"""Write values and delete partitions, one commit each."""
