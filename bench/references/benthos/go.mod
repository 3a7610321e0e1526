module reference

go 1.24

require github.com/redpanda-data/benthos/v4 v4.50.0
